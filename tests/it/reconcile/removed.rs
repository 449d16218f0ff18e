//! Reconciliation of a period whose rows were removed: hours and days are compared with their minutes, and an
//! undecidable difference is not repaired.

use sea_orm::{
    ColumnTrait as _, ConnectionTrait as _, DatabaseConnection, EntityTrait as _, QueryFilter as _,
    QueryOrder as _,
};
use weir_collectors::reconcile::{Evidence, Period};
use weir_database::{
    entity::rollups::{Column, Entity, Model},
    time_bucket::Grain,
};
use weir_testkit::database::{Database, on_both_databases};

use super::{damage, differences_in, loaded, repair_all};

on_both_databases!(
    buckets_before_the_horizon_are_compared_with_their_minutes,
    an_hour_or_a_day_that_its_minutes_contradict_is_repaired,
    a_minute_without_rows_that_its_hour_and_day_contradict_is_not_repaired,
);

/// 2025-03-02T11:30:00Z: in the middle of the stored events, of a day and of an hour.
const HORIZON: i64 = 1_740_915_000_000_000;

async fn buckets_before_the_horizon_are_compared_with_their_minutes(database: Database) {
    let (migrated, reader) = aged(&database, 21).await;
    assert_eq!(differences_in(&reader, Period::default()).await, []);
    // A minute with rows, on the day of the horizon.
    let minute = first(&migrated, Grain::Minute, HORIZON).await;
    assert!(minute.bucket < HORIZON / 86_400_000_000 * 86_400_000_000 + 86_400_000_000);
    alter(&migrated, &minute).await;
    let differences = differences_in(&reader, Period::default()).await;
    let [difference] = &differences[..] else { panic!("{differences:?}") };
    assert_eq!((difference.grain, difference.evidence), (Grain::Minute, Evidence::Rows));
    assert_eq!(repair_all(&database, &reader, Period::default()).await, 1);
    assert_eq!(differences_in(&reader, Period::default()).await, []);
}

async fn an_hour_or_a_day_that_its_minutes_contradict_is_repaired(database: Database) {
    let (migrated, reader) = aged(&database, 22).await;
    let before = written(&migrated).await;
    for grain in [Grain::Hour, Grain::Day] {
        alter(&migrated, &first(&migrated, grain, 0).await).await;
        let differences = differences_in(&reader, Period::default()).await;
        let [difference] = &differences[..] else { panic!("{differences:?}") };
        assert_eq!((difference.grain, difference.evidence), (grain, Evidence::Minutes));
        assert_eq!(repair_all(&database, &reader, Period::default()).await, 1);
        assert_eq!(differences_in(&reader, Period::default()).await, []);
        assert_eq!(written(&migrated).await, before);
    }
}

async fn a_minute_without_rows_that_its_hour_and_day_contradict_is_not_repaired(database: Database) {
    let (migrated, reader) = aged(&database, 23).await;
    alter(&migrated, &first(&migrated, Grain::Minute, 0).await).await;
    let damaged = written(&migrated).await;
    let differences = differences_in(&reader, Period::default()).await;
    let output: Vec<_> =
        differences.iter().map(|difference| (difference.grain, difference.evidence)).collect();
    assert_eq!(output, [(Grain::Hour, Evidence::Contradicted), (Grain::Day, Evidence::Contradicted)]);
    repair_all(&database, &reader, Period::default()).await;
    assert_eq!(written(&migrated).await, damaged, "no evidence decides which is right");
    assert_eq!(differences_in(&reader, Period::default()).await, differences);
}

/// A store with random frames, whose older rows were removed as retention does.
async fn aged(database: &Database, seed: u64) -> (DatabaseConnection, DatabaseConnection) {
    let (migrated, reader) = loaded(database, seed).await;
    damage(&migrated, &format!("DELETE FROM events WHERE occurred_at < {HORIZON}")).await;
    damage(&migrated, &format!("INSERT INTO horizons VALUES (1, {HORIZON}), (2, {HORIZON})")).await;
    (migrated, reader)
}

/// The first bucket of a grain at or after `start`.
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
