//! The cost of a comparison and a repair, printed by the long tests: `tests/run --soak -- --test it reconcile::cost
//! -- --nocapture --test-threads 1`.

use std::time::Instant;

use sea_orm::{ConnectionTrait as _, DatabaseConnection, DbBackend};
use weir_collectors::reconcile::Period;
use weir_testkit::{
    database::{Database, on_both_databases},
    soak,
};

use super::{damage, differences_in, repair_all};

on_both_databases!(a_large_day_with_one_campaign_for_each_row_is_compared_and_repaired);

const ROWS: u32 = 1_000_000;
/// 2025-09-14T00:00:00Z.
const MIDNIGHT: i64 = 1_757_808_000_000_000;
const GRAINS: [(i16, i64); 3] = [(1, 60_000_000), (2, 3_600_000_000), (3, 86_400_000_000)];

async fn a_large_day_with_one_campaign_for_each_row_is_compared_and_repaired(database: Database) {
    if !soak() {
        return;
    }
    let migrated = database.migrated().await;
    fill(&migrated).await;
    let reader = database.connect().await;
    let started = Instant::now();
    assert_eq!(differences_in(&reader, Period::default()).await, []);
    eprintln!("{ROWS} transactions of as many campaigns in one day: compared in {:?}", started.elapsed());

    damage(&migrated, "UPDATE campaign_rollups SET transactions = 2 WHERE campaign_id < 'campaign 11'").await;
    let started = Instant::now();
    let repaired = repair_all(&database, &reader, Period::default()).await;
    eprintln!("{repaired} differences found and repaired in {:?}", started.elapsed());
    assert_eq!(differences_in(&reader, Period::default()).await, []);
}

/// Transactions of Facebook over one day, each with a campaign of its own.
async fn fill(database: &DatabaseConnection) {
    let numbers = match database.get_database_backend() {
        DbBackend::Postgres => {
            format!("(SELECT number FROM generate_series(CAST(1 AS BIGINT), {ROWS}) AS number)")
        }
        _ => format!(
            "(WITH RECURSIVE numbers (number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM numbers WHERE number < {ROWS}) \
             SELECT number FROM numbers)"
        ),
    };
    let step = 86_400_000_000 / i64::from(ROWS);
    let (columns, values) = match database.get_database_backend() {
        DbBackend::Postgres => (
            "segment, event_code, user_code, campaign_code",
            "1, weir_code('event ' || number), weir_code('user ' || number), weir_code('campaign ' || number)",
        ),
        _ => (
            "frame_id, correlation_id, stored_at, event_id, user_id, campaign_id",
            "'frame', 'correlation', 0, 'event ' || number, 'user ' || number, 'campaign ' || number",
        ),
    };
    let rows = format!(
        "INSERT INTO events (source, occurred_at, funnel_stage, event_type, arrived_at, user_name, age, \
            purchase_amount, {columns}) \
         SELECT 1, {MIDNIGHT} + (number - 1) * {step}, 2, 7, {MIDNIGHT}, 'name', number % 90, 10000, {values} \
         FROM {numbers} AS numbers"
    );
    database.execute_unprepared(&rows).await.unwrap();
    for (grain, width) in GRAINS {
        let bucket = format!("occurred_at - occurred_at % {width}");
        let kinds = format!(
            "INSERT INTO rollups SELECT {grain}, {bucket}, source, funnel_stage, event_type, 0, COUNT(*), COUNT(age), 0, \
                SUM(age), COUNT(*), 0, SUM(purchase_amount) FROM events GROUP BY {bucket}, source, funnel_stage, event_type"
        );
        let campaigns = format!(
            "INSERT INTO campaign_rollups SELECT {grain}, {bucket}, campaign_id, 0, 1, 0, purchase_amount FROM stored_events"
        );
        database.execute_unprepared(&kinds).await.unwrap();
        database.execute_unprepared(&campaigns).await.unwrap();
    }
    database.execute_unprepared("ANALYZE").await.unwrap();
}
