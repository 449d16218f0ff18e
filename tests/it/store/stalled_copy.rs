//! Who falls silent in the middle of a copy keeps its frames from nobody.

use sqlx::{AssertSqlSafe, PgConnection, postgres::PgCopyIn};
use weir_collectors::store::{Store, StoreError, Submission};
use weir_event::Source;
use weir_testkit::{database::Database, eventually};

use super::{numbered, outcome, store_one};

#[tokio::test(flavor = "multi_thread")]
async fn who_falls_silent_in_a_copy_loses_its_session_and_its_frames_are_stored() {
    let database = Database::postgres().await;
    let database = database.migrated().await;
    let store = Store::new(&database);
    let frame = numbered(Source::Facebook, 0..3);
    let mut connection = database.get_postgres_connection_pool().acquire().await.unwrap().detach();
    let silent = claimed_and_silent(&mut connection, &frame.id).await;

    let waited = store.store(&[Submission::whole(&frame)]).await;
    assert!(matches!(waited, Err(StoreError::Transient(_))), "{waited:?}");
    assert_eq!(store.terminate_stalled_copies().await.unwrap(), 0, "it may be slow");
    eventually(async || match store.terminate_stalled_copies().await.unwrap() {
        1 => Ok(()),
        ended => Err(format!("{ended} sessions were ended")),
    })
    .await;
    assert_eq!(store_one(&store, &frame).await, outcome(3, 0));
    assert!(silent.finish().await.is_err());
}

/// As a collector that froze, or behind a connection that died unnoticed.
async fn claimed_and_silent<'a>(
    connection: &'a mut PgConnection,
    frame_id: &str,
) -> PgCopyIn<&'a mut PgConnection> {
    let claim = format!(
        "BEGIN; SET LOCAL statement_timeout = '10s'; SET LOCAL idle_in_transaction_session_timeout = '10s'; \
            INSERT INTO frames (frame_id, source, stored, duplicate, parked, committed_at) \
            VALUES ('{frame_id}', 1, 0, 0, 0, 0)"
    );
    sqlx::raw_sql(AssertSqlSafe(claim)).execute(&mut *connection).await.unwrap();
    connection.copy_in_raw("COPY events (source, event_id) FROM STDIN (FORMAT BINARY)").await.unwrap()
}
