//! A disk is full, and later there is space again.

use reqwest::StatusCode;
use serde_json::json;
use weir_testkit::{
    Ground, Weir,
    disk::Disk,
    events::Sender,
    eventually,
    load::Load,
    nats::Nats,
    postgres::{Postgres, Setup},
    soak,
};

use super::store::outage_is_felt;

/// Mebibytes: more than a story writes before its disk is filled.
const SIZE: u32 = 512;

/// How many requests are refused before there is space again.
fn refusals() -> usize {
    if soak() { 300 } else { 10 }
}

/// How many requests are answered while a database's disk is full.
fn answers() -> usize {
    if soak() { 600 } else { 60 }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_disk_of_the_files_is_full_and_senders_are_told_until_there_is_space() {
    let disk = Disk::of_mebibytes(SIZE);
    let data = disk.folder().join("data").to_str().unwrap().to_owned();
    let mut weir = Weir::up_with(Ground::Files, vec![("WEIR_DATA_DIR", data)]).await;
    let load = Load::start(&weir);
    for _ in 0..2 {
        load.answered(10).await;
        disk.fill();
        load.refused(refusals()).await;
        expect_refusal(&weir).await;
        disk.free();
        weir.recovers().await;
    }
    let proof = load.prove(&weir).await;
    assert_eq!(proof.parked, 0, "{proof}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_disk_of_the_store_s_file_is_full_and_senders_do_not_notice() {
    let disk = Disk::of_mebibytes(SIZE);
    let database_url = format!("sqlite://{}", disk.folder().join("store.sqlite").display());
    let mut weir = Weir::up_with(Ground::Files, vec![("DATABASE_URL", database_url)]).await;
    let load = Load::start(&weir);
    load.answered(10).await;
    disk.fill();
    eventually(async || {
        let transient = [("error_type", "transient")];
        let failed = weir.metric("events_failed_total", &transient).await;
        if failed > 0.0 { Ok(()) } else { Err("the store still takes events") }
    })
    .await;
    load.answered(answers()).await;
    disk.free();
    weir.recovers().await;
    let proof = load.prove(&weir).await;
    assert_eq!((proof.parked, proof.unanswered_requests), (0, 0), "{proof}");
}

/// nats-server 2.15 does not try a stream's disk again after it was full, and says so on /healthz: it is restarted.
#[tokio::test(flavor = "multi_thread")]
async fn the_disk_of_the_journal_s_server_is_full_and_senders_are_told_until_there_is_space() {
    let disk = Disk::of_mebibytes(SIZE);
    let (nats, postgres) = tokio::join!(Nats::start_in(disk.folder().join("store")), Postgres::shared());
    let ground = Ground::Servers { nats, database_url: postgres.fresh_address().await };
    let mut weir = Weir::fleet_with(ground, Vec::new()).await;
    let load = Load::start(&weir);
    load.answered(10).await;
    disk.fill();
    load.refused(refusals()).await;
    expect_refusal(&weir).await;
    assert!(weir.nats().log().contains("no space left on device"), "{}", weir.nats().log());
    disk.free();
    weir.nats().kill();
    weir.nats().start_again().await;
    weir.recovers().await;
    let proof = load.prove(&weir).await;
    assert_eq!(proof.parked, 0, "{proof}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_disk_of_the_database_s_tables_is_full_and_senders_do_not_notice() {
    let disk = Disk::of_mebibytes(SIZE);
    let setup = Setup { data: Some(disk.folder().join("data")), ..Setup::default() };
    full_disk_of_the_database(disk, setup, "could not extend file").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_disk_of_the_database_s_log_is_full_and_senders_do_not_notice() {
    let disk = Disk::of_mebibytes(SIZE);
    let setup = Setup { wal: Some(disk.folder().join("wal")), ..Setup::default() };
    full_disk_of_the_database(disk, setup, "PANIC").await;
}

/// Collectors wait for a server that says `complaint`.
async fn full_disk_of_the_database(disk: Disk, setup: Setup, complaint: &str) {
    let mut postgres = Postgres::start_with(setup).await;
    let ground = Ground::Servers { nats: Nats::start().await, database_url: postgres.fresh_address().await };
    let mut weir = Weir::fleet_with(ground, vec![("JOURNAL_ACK_WAIT_MS", "2000".to_owned())]).await;
    let load = Load::start(&weir);
    load.answered(10).await;
    disk.fill();
    outage_is_felt(&weir, 2.0).await;
    load.answered(answers()).await;
    assert!(postgres.log().contains(complaint), "{}", postgres.log());
    disk.free();
    postgres.is_back().await;
    weir.recovers().await;
    let proof = load.prove(&weir).await;
    assert_eq!((proof.parked, proof.unanswered_requests), (0, 0), "{proof}");
}

async fn expect_refusal(weir: &Weir) {
    let refused = weir.post(&json!(Sender::new("refused", 1).events(1))).await;
    refused.expect_problem(StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.header("retry-after").parse::<u64>().is_ok(), "{refused:?}");
}
