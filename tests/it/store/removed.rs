//! Removed rows: their keys keep their events duplicates, and no event is stored while rows are being removed.

use sea_orm::DatabaseConnection;
use weir_collectors::store::Store;
use weir_database::{advisory_lock::AdvisoryLock, event_key::EventKey};
use weir_event::Source;
use weir_testkit::{
    database::{Database, accounts, duplicates, insert_key, on_both_databases, stored_events},
    eventually,
};

use super::{numbered, outcome, store_all, store_one};

on_both_databases!(
    an_event_that_is_known_by_its_key_is_a_duplicate_and_not_stored,
    keys_among_more_events_than_one_statement_takes_are_found,
);

async fn an_event_that_is_known_by_its_key_is_a_duplicate_and_not_stored(database: Database) {
    let database = database.migrated().await;
    remember(&database, Source::Facebook, "00001").await;
    let mut facebook = numbered(Source::Facebook, 0..3);
    facebook.events[1].repeats = 2;
    facebook.events[2].repeats = 1;
    let tiktok = numbered(Source::Tiktok, 0..3);
    let outcomes = store_all(&Store::new(&database), &[facebook.clone(), tiktok]).await;

    assert_eq!(
        outcomes,
        [outcome(2, 4), outcome(3, 0)],
        "the same id from the other source is another event"
    );
    let rows: Vec<(i16, String)> =
        stored_events(&database).await.into_iter().map(|row| (row.source, row.event_id)).collect();
    let expected = [(1, "00000"), (1, "00002"), (2, "00000"), (2, "00001"), (2, "00002")];
    assert_eq!(rows, expected.map(|(source, id)| (source, id.to_owned())));
    assert_eq!(
        duplicates(&database).await,
        [(1, "00002".to_owned(), 1)],
        "an event without a row has no count of duplicates"
    );
    let accounts = accounts(&database, &facebook.id).await.unwrap();
    assert_eq!((accounts.stored, accounts.duplicate, accounts.parked), (2, 4, 0));
}

async fn keys_among_more_events_than_one_statement_takes_are_found(database: Database) {
    let database = database.migrated().await;
    for id in ["00007", "00050", "00099"] {
        remember(&database, Source::Tiktok, id).await;
    }
    let frame = numbered(Source::Tiktok, 0..100);
    assert_eq!(store_one(&Store::new(&database), &frame).await, outcome(97, 3));
    assert_eq!(stored_events(&database).await.len(), 97);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_waits_for_a_removal_of_rows_and_then_finds_their_keys() {
    let migrated = Database::postgres().await.migrated().await;
    insert_key(&migrated, 1, "another", 0).await;
    let pool = migrated.get_postgres_connection_pool();
    let mut removal = pool.begin().await.unwrap();
    AdvisoryLock::Store.lock_transaction(&mut removal).await.unwrap();

    let store = Store::new(&migrated);
    let storing = tokio::spawn(async move { store_one(&store, &numbered(Source::Facebook, 0..3)).await });
    let waiting = "SELECT COUNT(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database \
        WHERE datname = current_database() AND locktype = 'advisory' AND NOT granted";
    eventually(async || match sqlx::query_scalar(waiting).fetch_one(pool).await.unwrap() {
        1_i64 => Ok(()),
        stores => Err(format!("{stores} stores wait")),
    })
    .await;
    sqlx::query(
        "INSERT INTO event_keys (segment, source, key, arrived_at, stored_at) VALUES (0, 1, $1, 0, 0)",
    )
    .bind(EventKey::of("00001").as_bytes())
    .execute(&mut *removal)
    .await
    .unwrap();
    removal.commit().await.unwrap();
    assert_eq!(storing.await.unwrap(), outcome(2, 1));
}

/// Leaves the key of an event whose row was removed.
pub(super) async fn remember(database: &DatabaseConnection, source: Source, event_id: &str) {
    insert_key(database, source.number().try_into().unwrap(), event_id, 0).await;
}
