//! A stalled copy keeps its frames from other collectors only until its session is terminated.

use sqlx::{AssertSqlSafe, PgConnection, postgres::PgCopyIn};
use weir_collectors::store::{Store, StoreError, Submission};
use weir_event::Source;
use weir_testkit::{database::Database, eventually};

use super::{numbered, outcome, store_one};

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_copy_loses_its_session_and_its_frames_are_stored() {
    let database = Database::postgres().await;
    let database = database.migrated().await;
    let store = Store::new(&database);
    let frame = numbered(Source::Facebook, 0..3);
    let mut connection = database.get_postgres_connection_pool().acquire().await.unwrap().detach();
    let stalled = claim_and_stall(&mut connection, &frame.id).await;

    let blocked = store.store(&[Submission::whole(&frame)]).await;
    assert!(matches!(blocked, Err(StoreError::Transient(_))), "{blocked:?}");
    assert_eq!(
        store.terminate_stalled_copies().await.unwrap(),
        0,
        "a session that is merely slow is left alone"
    );
    eventually(async || match store.terminate_stalled_copies().await.unwrap() {
        1 => Ok(()),
        ended => Err(format!("{ended} sessions were terminated")),
    })
    .await;
    assert_eq!(store_one(&store, &frame).await, outcome(3, 0));
    assert!(stalled.finish().await.is_err());
}

/// Claims a frame and stalls in a copy, like a frozen collector, or one behind a connection that died unnoticed.
async fn claim_and_stall<'a>(
    connection: &'a mut PgConnection,
    frame_id: &str,
) -> PgCopyIn<&'a mut PgConnection> {
    let claim = format!(
        "BEGIN; SET LOCAL statement_timeout = '10s'; SET LOCAL idle_in_transaction_session_timeout = '10s'; \
            INSERT INTO frames (frame_id, source, stored, duplicate, parked, committed_at) \
            VALUES ('{frame_id}', 1, 0, 0, 0, 0)"
    );
    sqlx::raw_sql(AssertSqlSafe(claim)).execute(&mut *connection).await.unwrap();
    connection.copy_in_raw("COPY events (source, event_code) FROM STDIN (FORMAT BINARY)").await.unwrap()
}
