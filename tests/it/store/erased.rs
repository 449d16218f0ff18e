//! Erased persons: rows lose the person and rollups the measures. Later events that had arrived before the request
//! are stored without the person, by any store.

use chrono::TimeDelta;
use sea_orm::{ConnectionTrait as _, DatabaseConnection, Statement};
use weir_collectors::store::{ErasureCounts, ErasureStage, Store};
use weir_event::{Origin, Source};
use weir_journal::{Erasure, Frame};
use weir_testkit::{
    database::{Database, accounts, on_both_databases, stored_events},
    events::{frame, origin, with_id},
};

use super::{store_all, store_one};

on_both_databases!(
    an_erased_person_s_rows_keep_what_happened_and_the_rollups_lose_the_measures,
    an_interrupted_erasure_continues_and_counts_each_row_once,
    events_that_had_arrived_before_are_stored_without_the_person_and_later_ones_with,
    a_suppressed_person_never_comes_back,
);

async fn an_erased_person_s_rows_keep_what_happened_and_the_rollups_lose_the_measures(database: Database) {
    let database = database.migrated().await;
    let store = Store::new(&database);
    let (ada, bob) = (of("ada", Source::Facebook, &["a", "b"]), of("bob", Source::Facebook, &["c"]));
    store_all(&store, &[ada, bob, of("ada", Source::Tiktok, &["a"])]).await;
    let before = stored_events(&database).await;
    assert_eq!(rolled_up(&database).await, vec![(4, 4); 3]);

    let erasure = erasure("ada", false, origin());
    assert_eq!(erase(&store, &erasure).await, ErasureCounts { rows: 2, dead_letters: 0 });
    for (was, is) in before.into_iter().zip(stored_events(&database).await) {
        let mut expected = was.clone();
        if was.source == 1 && was.user_id == "ada" {
            (expected.user_id, expected.user_name) = (String::new(), String::new());
            (expected.age, expected.gender, expected.country, expected.city) = (None, None, None, None);
        }
        assert_eq!(is, expected);
    }
    assert_eq!(rolled_up(&database).await, vec![(4, 2); 3], "events stay, measures go");
    let accounts = accounts(&database, &erasure.id).await.unwrap();
    assert_eq!((accounts.stored, accounts.duplicate, accounts.parked), (0, 0, 0));

    assert_eq!(store.record_erasure(&erasure).await.unwrap(), ErasureStage::Complete, "redelivered");
    let again = self::erasure("ada", false, origin());
    assert_eq!(erase(&store, &again).await, ErasureCounts::default(), "no row is left to anonymize");
    assert_eq!(rolled_up(&database).await, vec![(4, 2); 3]);
}

async fn an_interrupted_erasure_continues_and_counts_each_row_once(database: Database) {
    let database = database.migrated().await;
    let store = Store::new(&database);
    let ids: Vec<String> = (0..50).map(|number| number.to_string()).collect();
    store_one(&store, &of("ada", Source::Facebook, &ids.iter().map(String::as_str).collect::<Vec<_>>()))
        .await;
    let erasure = erasure("ada", false, origin());
    for letters in [2, 3] {
        assert_eq!(store.record_erasure(&erasure).await.unwrap(), ErasureStage::Recorded);
        store.anonymize_rows(&erasure).await.unwrap();
        store.note_removed_dead_letters(&erasure, letters).await.unwrap();
    }
    let counts = store.complete_erasure(&erasure).await.unwrap();
    assert_eq!(counts, ErasureCounts { rows: 50, dead_letters: 5 });
    assert_eq!(
        store.complete_erasure(&erasure).await.unwrap(),
        counts,
        "a second completion changes nothing"
    );
}

async fn events_that_had_arrived_before_are_stored_without_the_person_and_later_ones_with(
    database: Database,
) {
    let migrated = database.migrated().await;
    let stores = [Store::new(&migrated), Store::new(&database.connect().await)];
    for (store, id) in stores.iter().zip(["a", "b"]) {
        store_one(store, &of("bob", Source::Facebook, &[id])).await;
    }
    erase(&stores[0], &erasure("ada", false, origin())).await;
    for (index, store) in stores.iter().enumerate() {
        let (before, after) = (format!("before-{index}"), format!("later-{index}"));
        let later = arrived(of("ada", Source::Facebook, &[&after]), TimeDelta::microseconds(1));
        store_all(store, &[of("ada", Source::Facebook, &[&before]), later]).await;
    }
    store_one(&stores[1], &of("ada", Source::Tiktok, &["elsewhere"])).await;
    let expected = [
        ("a", "bob"),
        ("b", "bob"),
        ("before-0", ""),
        ("before-1", ""),
        ("later-0", "ada"),
        ("later-1", "ada"),
        ("elsewhere", "ada"),
    ];
    assert_eq!(persons(&migrated).await, expected.map(|(id, person)| (id.to_owned(), person.to_owned())));
    assert_eq!(rolled_up(&migrated).await, vec![(7, 5); 3]);
}

async fn a_suppressed_person_never_comes_back(database: Database) {
    let database = database.migrated().await;
    let store = Store::new(&database);
    let day = TimeDelta::days(1);
    store_one(&store, &arrived(of("ada", Source::Facebook, &["later than asked for"]), day)).await;
    assert_eq!(erase(&store, &erasure("ada", true, origin())).await.rows, 1);
    store_one(&store, &arrived(of("ada", Source::Facebook, &["much later"]), day * 40)).await;
    assert!(persons(&database).await.iter().all(|(_, person)| person.is_empty()));
    assert_eq!(erase(&store, &erasure("ada", false, origin())).await.rows, 0);
    store_one(&store, &arrived(of("ada", Source::Facebook, &["still"]), day * 41)).await;
    assert!(
        persons(&database).await.iter().all(|(_, person)| person.is_empty()),
        "an erasure without suppression does not end an earlier one with it"
    );
}

/// A frame of one person's events.
fn of(user_id: &str, source: Source, ids: &[&str]) -> Frame {
    let events = ids.iter().map(|id| {
        let mut event = with_id(source, id);
        event["data"]["user"]["userId"] = user_id.into();
        event
    });
    frame(&events.collect::<Vec<_>>())
}

/// The frame with a later arrival than all others.
fn arrived(mut frame: Frame, later: TimeDelta) -> Frame {
    frame.origins[0].arrived_at += later;
    frame
}

/// An erasure of a person of Facebook, requested when the events of all frames arrived.
fn erasure(user_id: &str, suppress: bool, origin: Origin) -> Erasure {
    Erasure::new(Source::Facebook, user_id.to_owned(), suppress, origin)
}

async fn erase(store: &Store, erasure: &Erasure) -> ErasureCounts {
    assert_eq!(store.record_erasure(erasure).await.unwrap(), ErasureStage::Recorded);
    store.anonymize_rows(erasure).await.unwrap();
    store.complete_erasure(erasure).await.unwrap()
}

async fn persons(database: &DatabaseConnection) -> Vec<(String, String)> {
    let rows = stored_events(database).await;
    rows.into_iter().map(|row| (row.event_id, row.user_id)).collect()
}

/// Events and measured events of minutes, hours and days.
async fn rolled_up(database: &DatabaseConnection) -> Vec<(i64, i64)> {
    let sums = "SELECT CAST(SUM(events) AS BIGINT), CAST(SUM(measured) AS BIGINT) FROM rollups GROUP BY grain ORDER BY grain";
    let sums = Statement::from_string(database.get_database_backend(), sums);
    let rows = database.query_all_raw(sums).await.unwrap();
    rows.iter().map(|row| (row.try_get_by_index(0).unwrap(), row.try_get_by_index(1).unwrap())).collect()
}
