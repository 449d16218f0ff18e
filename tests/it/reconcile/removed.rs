//! Where rows were removed after their time: hours and days are compared with their minutes, and what nobody can tell
//! any more is left as it is.

use sea_orm::{
    ColumnTrait as _, ConnectionTrait as _, DatabaseConnection, EntityTrait as _, QueryFilter as _,
    QueryOrder as _,
};
use weir_collectors::reconcile::{Evidence, Grain, Period};
use weir_database::entity::rollups::{Column, Entity, Model};
use weir_testkit::database::{Database, on_both_databases};

use super::{damage, found, loaded, repaired};

on_both_databases!(
    what_lies_before_the_horizon_is_compared_with_its_minutes,
    an_hour_or_a_day_that_its_minutes_contradict_is_mended,
    a_minute_without_rows_that_hours_and_days_contradict_is_left_alone,
);

/// 2025-03-02T11:30:00Z, in the midst of what was stored, and of a day and an hour.
const HORIZON: i64 = 1_740_915_000_000_000;

async fn what_lies_before_the_horizon_is_compared_with_its_minutes(database: Database) {
    let (migrated, reader) = aged(&database, 21).await;
    assert_eq!(found(&reader, Period::default()).await, []);
    // Of the day with the horizon a minute that has its rows.
    let minute = first(&migrated, Grain::Minute, HORIZON).await;
    assert!(minute.bucket < HORIZON / 86_400_000_000 * 86_400_000_000 + 86_400_000_000);
    alter(&migrated, &minute).await;
    let differences = found(&reader, Period::default()).await;
    let [difference] = &differences[..] else { panic!("{differences:?}") };
    assert_eq!((difference.grain, difference.evidence), (Grain::Minute, Evidence::Rows));
    assert_eq!(repaired(&database, &reader, Period::default()).await, 1);
    assert_eq!(found(&reader, Period::default()).await, []);
}

async fn an_hour_or_a_day_that_its_minutes_contradict_is_mended(database: Database) {
    let (migrated, reader) = aged(&database, 22).await;
    let before = written(&migrated).await;
    for grain in [Grain::Hour, Grain::Day] {
        alter(&migrated, &first(&migrated, grain, 0).await).await;
        let differences = found(&reader, Period::default()).await;
        let [difference] = &differences[..] else { panic!("{differences:?}") };
        assert_eq!((difference.grain, difference.evidence), (grain, Evidence::Minutes));
        assert_eq!(repaired(&database, &reader, Period::default()).await, 1);
        assert_eq!(found(&reader, Period::default()).await, []);
        assert_eq!(written(&migrated).await, before);
    }
}

async fn a_minute_without_rows_that_hours_and_days_contradict_is_left_alone(database: Database) {
    let (migrated, reader) = aged(&database, 23).await;
    alter(&migrated, &first(&migrated, Grain::Minute, 0).await).await;
    let damaged = written(&migrated).await;
    let differences = found(&reader, Period::default()).await;
    let told: Vec<_> = differences.iter().map(|difference| (difference.grain, difference.evidence)).collect();
    assert_eq!(told, [(Grain::Hour, Evidence::Contradicted), (Grain::Day, Evidence::Contradicted)]);
    repaired(&database, &reader, Period::default()).await;
    assert_eq!(written(&migrated).await, damaged, "nobody can tell which is right");
    assert_eq!(found(&reader, Period::default()).await, differences);
}

/// Frames at random, of which the older rows were removed as retention does.
async fn aged(database: &Database, seed: u64) -> (DatabaseConnection, DatabaseConnection) {
    let (migrated, reader) = loaded(database, seed).await;
    damage(&migrated, &format!("DELETE FROM events WHERE occurred_at < {HORIZON}")).await;
    damage(&migrated, &format!("INSERT INTO horizons VALUES (1, {HORIZON}), (2, {HORIZON})")).await;
    (migrated, reader)
}

/// The first bucket of a grain that starts then or later.
async fn first(database: &DatabaseConnection, grain: Grain, start: i64) -> Model {
    let of_grain = Entity::find().filter(Column::Grain.eq(grain.number())).filter(Column::Bucket.gte(start));
    of_grain.order_by_asc(Column::Bucket).one(database).await.unwrap().unwrap()
}

async fn alter(database: &DatabaseConnection, bucket: &Model) {
    let altered = format!(
        "UPDATE rollups SET events = events + 1 WHERE grain = {} AND bucket = {} AND source = {} \
         AND funnel_stage = {} AND event_type = {} AND shard = {}",
        bucket.grain, bucket.bucket, bucket.source, bucket.funnel_stage, bucket.event_type, bucket.shard
    );
    assert_eq!(database.execute_unprepared(&altered).await.unwrap().rows_affected(), 1);
}

/// Events by grain, bucket and kind, over all shards.
async fn written(database: &DatabaseConnection) -> Vec<(i16, i64, i16, i16, i16, i64)> {
    let mut sums = std::collections::BTreeMap::new();
    for row in Entity::find().all(database).await.unwrap() {
        let key = (row.grain, row.bucket, row.source, row.funnel_stage, row.event_type);
        *sums.entry(key).or_insert(0) += row.events;
    }
    sums.into_iter().map(|((a, b, c, d, e), events)| (a, b, c, d, e, events)).collect()
}
