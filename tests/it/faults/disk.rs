//! Full disks under the files and the servers, which later have free space again.

use reqwest::StatusCode;
use serde_json::json;
use weir_testkit::{
    Storage, Weir,
    disk::Disk,
    events::Sender,
    eventually,
    load::Load,
    nats::Nats,
    postgres::{Postgres, Setup},
    soak,
};

use super::store::wait_for_failures;

/// The size of a disk in mebibytes: more than a story writes before it fills the disk.
const SIZE: u32 = 512;

/// The number of refused requests before the disk has free space again.
fn refusals() -> usize {
    if soak() { 300 } else { 10 }
}

/// The number of accepted requests while a database's disk is full.
fn answers() -> usize {
    if soak() { 600 } else { 60 }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_disk_of_the_files_is_full_and_senders_are_refused_until_there_is_space() {
    let disk = Disk::mount_mebibytes(SIZE);
    let data = disk.folder().join("data").to_str().unwrap().to_owned();
    let mut weir = Weir::up_with(Storage::Files, vec![("WEIR_DATA_DIR", data)]).await;
    let load = Load::start(&weir);
    for _ in 0..2 {
        load.wait_for_accepted(10).await;
        disk.fill();
        load.wait_for_refused(refusals()).await;
        expect_refusal(&weir).await;
        disk.free();
        weir.expect_recovery().await;
    }
    let verification = load.verify(&weir).await;
    assert_eq!(verification.parked, 0, "{verification}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_disk_of_the_store_s_file_is_full_and_senders_do_not_notice() {
    let disk = Disk::mount_mebibytes(SIZE);
    let database_url = format!("sqlite://{}", disk.folder().join("store.sqlite").display());
    let mut weir = Weir::up_with(Storage::Files, vec![("DATABASE_URL", database_url)]).await;
    let load = Load::start(&weir);
    load.wait_for_accepted(10).await;
    disk.fill();
    eventually(async || {
        let transient = [("error_type", "transient")];
        let failed = weir.metric("events_failed_total", &transient).await;
        if failed > 0.0 { Ok(()) } else { Err("the store still takes events") }
    })
    .await;
    load.wait_for_accepted(answers()).await;
    disk.free();
    weir.expect_recovery().await;
    let verification = load.verify(&weir).await;
    assert_eq!((verification.parked, verification.unanswered_requests), (0, 0), "{verification}");
}

/// The story restarts the server: nats-server 2.15 does not write to a stream again whose disk was full, and reports
/// that on /healthz.
#[tokio::test(flavor = "multi_thread")]
async fn the_disk_of_the_journal_s_server_is_full_and_senders_are_refused_until_there_is_space() {
    let disk = Disk::mount_mebibytes(SIZE);
    let (nats, postgres) = tokio::join!(Nats::start_in(disk.folder().join("store")), Postgres::shared());
    let storage = Storage::Servers { nats, database_url: postgres.fresh_database_url().await };
    let mut weir = Weir::fleet_with(storage, Vec::new()).await;
    let load = Load::start(&weir);
    load.wait_for_accepted(10).await;
    disk.fill();
    load.wait_for_refused(refusals()).await;
    expect_refusal(&weir).await;
    assert!(weir.nats().log().contains("no space left on device"), "{}", weir.nats().log());
    disk.free();
    weir.nats().kill();
    weir.nats().start_again().await;
    weir.expect_recovery().await;
    let verification = load.verify(&weir).await;
    assert_eq!(verification.parked, 0, "{verification}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_disk_of_the_database_s_tables_is_full_and_senders_do_not_notice() {
    let disk = Disk::mount_mebibytes(SIZE);
    let setup = Setup { data: Some(disk.folder().join("data")), ..Setup::default() };
    full_disk_of_the_database(disk, setup, "could not extend file").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_disk_of_the_database_s_log_is_full_and_senders_do_not_notice() {
    let disk = Disk::mount_mebibytes(SIZE);
    let setup = Setup { wal: Some(disk.folder().join("wal")), ..Setup::default() };
    full_disk_of_the_database(disk, setup, "PANIC").await;
}

/// Expects that collectors wait while the server logs `complaint`, and that senders notice nothing.
async fn full_disk_of_the_database(disk: Disk, setup: Setup, complaint: &str) {
    let mut postgres = Postgres::start_with(setup).await;
    let storage =
        Storage::Servers { nats: Nats::start().await, database_url: postgres.fresh_database_url().await };
    let mut weir = Weir::fleet_with(storage, vec![("JOURNAL_ACK_WAIT_MS", "2000".to_owned())]).await;
    let load = Load::start(&weir);
    load.wait_for_accepted(10).await;
    disk.fill();
    wait_for_failures(&weir, 2.0).await;
    load.wait_for_accepted(answers()).await;
    assert!(postgres.log().contains(complaint), "{}", postgres.log());
    disk.free();
    postgres.ensure_running().await;
    weir.expect_recovery().await;
    let verification = load.verify(&weir).await;
    assert_eq!((verification.parked, verification.unanswered_requests), (0, 0), "{verification}");
}

async fn expect_refusal(weir: &Weir) {
    let refused = weir.post(&json!(Sender::new("refused", 1).events(1))).await;
    refused.expect_problem(StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.header("retry-after").parse::<u64>().is_ok(), "{refused:?}");
}
