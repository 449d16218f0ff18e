//! Reconciliation of rollups with rows: a healthy store has no difference, and each kind of damage is found and
//! repaired.

mod command;
mod cost;
mod people;
mod rankings;
mod removed;

use rand::{SeedableRng as _, rngs::StdRng};
use sea_orm::{ConnectionTrait as _, DatabaseConnection};
use weir_collectors::{
    people::People,
    reconcile::{Difference, Evidence, Measure, Period, Reconciler, RepairLock, SourceDay},
    store::Store,
};
use weir_database::time_bucket::Grain;
use weir_event::Source;
use weir_journal::{Erasure, Frame};
use weir_testkit::{
    database::events_by_id,
    database::{Database, on_both_databases},
    events::{origin, valid_events},
};

use crate::store::{
    rollups::{assert_rollups_equal_a_scan, random_frame},
    store_all,
};

on_both_databases!(
    no_difference_is_found_while_frames_are_stored_and_persons_erased,
    a_row_that_was_deleted_is_missed_in_every_grain,
    every_damage_is_found_in_its_bucket_and_repaired,
    rollups_with_equal_sums_are_no_difference,
    a_repair_during_storing_counts_no_event_twice,
    buckets_outside_the_period_are_not_repaired,
    a_second_repair_at_the_same_time_is_refused,
);

/// Damage to one bucket: its statement, the grain, and the wrong measure.
const DAMAGES: [(&str, Grain, Measure); 7] = [
    (
        "UPDATE rollups SET events = events + 1 WHERE (grain, bucket, source, funnel_stage, event_type, shard) = (SELECT \
         grain, bucket, source, funnel_stage, event_type, shard FROM rollups WHERE grain = 1 ORDER BY 1, 2, 3, 4, 5, 6 LIMIT 1)",
        Grain::Minute,
        Measure::Events,
    ),
    (
        "UPDATE rollups SET measure_high = measure_high - 1 WHERE (grain, bucket, source, funnel_stage, event_type, shard) = \
         (SELECT grain, bucket, source, funnel_stage, event_type, shard FROM rollups WHERE grain = 2 ORDER BY 1, 2, 3, 4, 5, 6 LIMIT 1)",
        Grain::Hour,
        Measure::MeasureSum,
    ),
    (
        "UPDATE rollups SET amount_low = amount_low + 1 WHERE (grain, bucket, source, funnel_stage, event_type, shard) = \
         (SELECT grain, bucket, source, funnel_stage, event_type, shard FROM rollups WHERE grain = 3 ORDER BY 1, 2, 3, 4, 5, 6 LIMIT 1)",
        Grain::Day,
        Measure::Amount,
    ),
    (
        "DELETE FROM rollups WHERE (grain, bucket, source, funnel_stage, event_type) = (SELECT grain, bucket, source, \
         funnel_stage, event_type FROM rollups WHERE grain = 1 ORDER BY 1, 2, 3, 4, 5 LIMIT 1)",
        Grain::Minute,
        Measure::Events,
    ),
    (
        "INSERT INTO rollups SELECT 2, 86400000000, 2, 2, 11, 3, 1, 1, 0, 7, 0, 0, 0",
        Grain::Hour,
        Measure::Events,
    ),
    (
        "DELETE FROM campaign_rollups WHERE (grain, bucket, campaign_id) = (SELECT grain, bucket, campaign_id \
         FROM campaign_rollups WHERE grain = 1 ORDER BY 1, 2, 3 LIMIT 1)",
        Grain::Minute,
        Measure::Transactions,
    ),
    ("INSERT INTO campaign_rollups SELECT 3, 0, 'nobody''s', 0, 1, 0, 5", Grain::Day, Measure::Amount),
];

async fn no_difference_is_found_while_frames_are_stored_and_persons_erased(database: Database) {
    let migrated = database.migrated().await;
    let (store, reader) = (Store::new(&migrated), database.connect().await);
    store_all(&store, &frames(1, 20)).await;
    let storing = tokio::spawn(async move {
        for frames in frames(2, 60).chunks(3) {
            store_all(&store, frames).await;
            erase_a_person(&store).await;
        }
    });
    let mut compared = 0;
    while !storing.is_finished() || compared == 0 {
        assert_eq!(differences_in(&reader, Period::default()).await, []);
        compared += 1;
    }
    storing.await.unwrap();
    assert_eq!(differences_in(&reader, Period::default()).await, []);
    assert_rollups_equal_a_scan(&migrated).await;
}

async fn a_row_that_was_deleted_is_missed_in_every_grain(database: Database) {
    let (migrated, reader) = loaded(&database, 3).await;
    let events = events_by_id(&migrated);
    let transaction = format!(
        "SELECT MIN(event_id) FROM {events} WHERE campaign_id IS NOT NULL AND event_type = 7 \
         AND purchase_amount IS NOT NULL AND source = 1"
    );
    let deleted = format!("DELETE FROM {events} WHERE source = 1 AND event_id = ({transaction})");
    damage(&migrated, &deleted).await;
    let differences = differences_in(&reader, Period::default()).await;
    let grains: Vec<Grain> = differences.iter().map(|difference| difference.grain).collect();
    assert_eq!(grains, [Grain::ALL, Grain::ALL].concat(), "of its kind and its campaign: {differences:?}");
    assert!(differences.iter().all(|difference| difference.evidence == Evidence::Rows));
    repair_and_check(&database, &migrated, &reader).await;
}

async fn every_damage_is_found_in_its_bucket_and_repaired(database: Database) {
    let (migrated, reader) = loaded(&database, 4).await;
    for (statement, grain, figure) in DAMAGES {
        damage(&migrated, statement).await;
        let differences = differences_in(&reader, Period::default()).await;
        let [difference] = &differences[..] else { panic!("{statement}: {differences:?}") };
        assert_eq!((difference.grain, difference.evidence), (grain, Evidence::Rows), "{statement}");
        let value = |figures: &weir_collectors::reconcile::Measures| {
            figures.iter().find(|(known, _)| *known == figure).unwrap().1
        };
        assert_ne!(value(&difference.written), value(&difference.expected), "{statement}");
        repair_and_check(&database, &migrated, &reader).await;
    }
}

async fn rollups_with_equal_sums_are_no_difference(database: Database) {
    let (migrated, reader) = loaded(&database, 5).await;
    let others = [
        "UPDATE rollups SET amount_high = amount_high - 3, amount_low = amount_low + 3 * 67108864",
        "UPDATE campaign_rollups SET amount_high = amount_high + 1, amount_low = amount_low - 67108864",
        "INSERT INTO rollups SELECT 1, 0, 1, 1, 1, 0, 5, 5, 1, 0, 0, 0, 0",
        "INSERT INTO rollups SELECT 1, 0, 1, 1, 1, 1, -5, -5, 0, -67108864, 0, 0, 0",
    ];
    for statement in others {
        migrated.execute_unprepared(statement).await.unwrap();
    }
    assert_eq!(differences_in(&reader, Period::default()).await, []);
}

async fn a_repair_during_storing_counts_no_event_twice(database: Database) {
    let (migrated, reader) = loaded(&database, 6).await;
    damage(&migrated, "DELETE FROM rollups").await;
    damage(&migrated, "UPDATE campaign_rollups SET transactions = transactions + 1 WHERE grain < 3").await;
    let store = Store::new(&migrated);
    let storing = tokio::spawn(async move {
        for frames in frames(7, 60).chunks(2) {
            store_all(&store, frames).await;
        }
    });
    let repaired = repair_all(&database, &reader, Period::default()).await;
    assert!(repaired > 500, "{repaired}");
    storing.await.unwrap();
    assert_eq!(differences_in(&reader, Period::default()).await, []);
    assert_rollups_equal_a_scan(&migrated).await;
}

async fn buckets_outside_the_period_are_not_repaired(database: Database) {
    let (migrated, reader) = loaded(&database, 8).await;
    damage(&migrated, "UPDATE rollups SET events = events + 1 WHERE grain < 3").await;
    let damaged = differences_in(&reader, Period::default()).await;
    let minute = damaged.iter().rfind(|difference| difference.grain == Grain::Minute).unwrap().bucket;
    let period = Period { from: Some(minute + 5), to: Some(minute + 6) };
    let touched = |difference: &&Difference| {
        (difference.bucket..difference.bucket + difference.grain.width()).contains(&(minute + 5))
    };
    let expected: Vec<Difference> = damaged.iter().filter(touched).cloned().collect();
    assert_eq!(differences_in(&reader, period).await, expected);
    assert!((2..10).contains(&expected.len()), "{expected:?}");

    let repaired = repair_all(&database, &reader, period).await;
    assert_eq!(repaired, expected.len() as u64);
    assert_eq!(differences_in(&reader, Period::default()).await.len(), damaged.len() - expected.len());
}

async fn a_second_repair_at_the_same_time_is_refused(database: Database) {
    let store = Store::new(&database.migrated().await);
    let first = RepairLock::take(&store).await.unwrap();
    let other = Store::new(&database.connect().await);
    let refused = RepairLock::take(&other).await.unwrap_err();
    assert!(matches!(refused, weir_collectors::reconcile::ReconcileError::Locked), "{refused}");
    drop(first);
    weir_testkit::eventually(async || RepairLock::take(&other).await.map(|_| ())).await;
}

/// A store with random frames, and a separate pool for the comparison.
async fn loaded(database: &Database, seed: u64) -> (DatabaseConnection, DatabaseConnection) {
    let migrated = database.migrated().await;
    let store = Store::new(&migrated);
    for frames in frames(seed, 25).chunks(5) {
        store_all(&store, frames).await;
    }
    erase_a_person(&store).await;
    (migrated, database.connect().await)
}

fn frames(seed: u64, number: usize) -> Vec<Frame> {
    let mut random = StdRng::seed_from_u64(seed);
    (0..number).map(|_| random_frame(&mut random)).collect()
}

/// Erases a person whose events are among the random frames.
async fn erase_a_person(store: &Store) {
    let event = valid_events().into_iter().find(|event| event["source"] == "facebook").unwrap();
    let user_id = event["data"]["user"]["userId"].as_str().unwrap().to_owned();
    let erasure = Erasure::new(Source::Facebook, user_id, false, origin());
    store.record_erasure(&erasure).await.unwrap();
    store.anonymize_rows(&erasure).await.unwrap();
    People::new(store).erase(&erasure).await.unwrap();
    store.complete_erasure(&erasure).await.unwrap();
}

async fn damage(database: &DatabaseConnection, statement: &str) {
    let changed = database.execute_unprepared(statement).await.unwrap().rows_affected();
    assert!(changed > 0, "{statement}");
}

/// All differences of a period, in the order of the comparison.
async fn differences_in(reader: &DatabaseConnection, period: Period) -> Vec<Difference> {
    let reconciler = Reconciler::new(Store::new(reader), period);
    let mut differences = Vec::new();
    for source_day in source_days(&reconciler).await {
        let mut found = Vec::new();
        let compared = reconciler.compare(source_day, |difference| found.push(difference)).await.unwrap();
        assert_eq!(compared.differences, found.len() as u64);
        differences.extend(found);
    }
    differences
}

/// Repairs all differences, and returns their number.
async fn repair_all(database: &Database, reader: &DatabaseConnection, period: Period) -> u64 {
    let reconciler = Reconciler::new(Store::new(reader), period);
    let writer = Store::new(&database.connect().await);
    let mut repaired = 0;
    for source_day in source_days(&reconciler).await {
        repaired += reconciler.repair(source_day, &writer, |_| {}).await.unwrap().differences;
    }
    repaired
}

async fn source_days(reconciler: &Reconciler) -> Vec<SourceDay> {
    let mut source_days = Vec::new();
    let mut next = reconciler.days().await.unwrap().map(|(first, _)| first);
    while let Some(day) = next {
        source_days.extend(Source::ALL.iter().map(|source| SourceDay { source: *source, day }));
        next = reconciler.day_after(day).await.unwrap();
    }
    source_days
}

/// Repairs, and compares the result with a scan of the rows as well.
async fn repair_and_check(database: &Database, migrated: &DatabaseConnection, reader: &DatabaseConnection) {
    assert!(repair_all(database, reader, Period::default()).await > 0);
    assert_eq!(differences_in(reader, Period::default()).await, []);
    assert_rollups_equal_a_scan(migrated).await;
}
