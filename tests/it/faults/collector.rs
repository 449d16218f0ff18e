//! Collectors that die inside a transaction, and between commit and acknowledgement.

use sea_orm::ConnectionTrait as _;
use weir_database::{Access, connect};
use weir_testkit::{Storage, Weir, eventually, load::Load, postgres::Postgres};

/// A short deadline, so that the journal offers the frames of a dead collector again within the story.
const ACK_WAIT: (&str, &str) = ("JOURNAL_ACK_WAIT_MS", "2000");

/// A fleet with this deadline, and the URL of its database.
async fn fleet() -> (Weir, String) {
    let storage = Storage::servers().await;
    let Storage::Servers { database_url, .. } = &storage else { unreachable!("the story uses servers") };
    let database_url = database_url.clone();
    (Weir::fleet_with(storage, vec![(ACK_WAIT.0, ACK_WAIT.1.to_owned())]).await, database_url)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_dies_between_commit_and_acknowledgement_and_its_frames_are_recognised() {
    let (mut weir, _) = fleet().await;
    let load = Load::start(&weir);
    load.wait_for_accepted(5).await;
    weir.kill("collect-tiktok").await;
    weir.start_process_with("collect-tiktok", &[("WEIR_FAILPOINT", "collector-before-ack")]);
    weir.exit_of("collect-tiktok").await;
    weir.start_process("collect-tiktok");
    weir.expect_recovery().await;
    eventually(async || {
        let redelivered = weir.metric_of("collect-tiktok", "frames_redelivered_total", &[]).await;
        if redelivered > 0.0 { Ok(()) } else { Err("nothing was redelivered yet") }
    })
    .await;
    load.verify(&weir).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_dies_in_its_transaction_and_another_stores_its_frames() {
    let (mut weir, database_url) = fleet().await;
    let load = Load::start(&weir);
    load.wait_for_accepted(5).await;
    let locker =
        connect(&database_url.parse().unwrap(), Access::Write, Postgres::START_TIMEOUT).await.unwrap();
    let lock = sea_orm::TransactionTrait::begin(&locker).await.unwrap();
    lock.execute_unprepared("LOCK TABLE events IN SHARE MODE").await.unwrap();
    eventually(async || {
        let waiting =
            "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
        let waiting = sea_orm::Statement::from_string(sea_orm::DbBackend::Postgres, waiting);
        lock.query_one_raw(waiting).await.unwrap().map(drop).ok_or("no collector is in a transaction yet")
    })
    .await;
    weir.kill("collect-tiktok").await;
    lock.commit().await.unwrap();
    weir.start_process("collect-tiktok");
    weir.expect_recovery().await;
    load.verify(&weir).await;
}
