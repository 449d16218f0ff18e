//! Backup and restore: both servers are backed up under load, lost, and restored elsewhere
//! (docs/reliability.md#backup-and-restore).

use std::{path::Path, process::Stdio};

use tokio::process::Command;
use weir_testkit::{
    Storage, Weir, eventually,
    load::Load,
    nats::Nats,
    postgres::{Postgres, program},
    soak,
};

const FACEBOOK: [&str; 2] = ["collect-facebook", "collect-facebook-too"];

#[tokio::test(flavor = "multi_thread")]
async fn events_accepted_before_a_backup_under_load_are_there_after_its_restore() {
    let database_url = Postgres::shared().await.fresh_database_url().await;
    let storage = Storage::Servers { nats: Nats::start().await, database_url: database_url.clone() };
    let mut lost = Weir::fleet_with(storage, Vec::new()).await;
    let before = Load::named("before", &lost, &["--min", "20", "--max", "150", "--interval-ms", "50"]);
    before.wait_for_accepted(5).await;
    // TikTok's later events are in the journal alone, so they can come only from its backup.
    lost.kill("collect-tiktok").await;
    before.wait_for_accepted(if soak() { 600 } else { 40 }).await;
    let ledger = before.finish().await;

    let meanwhile = Load::named("meanwhile", &lost, &["--min", "20", "--max", "150", "--interval-ms", "20"]);
    meanwhile.wait_for_accepted(5).await;
    let [store, dump] = ["store", "store.dump"].map(|name| lost.folder().join(name));
    // Facebook's collectors are frozen, so the copy of the journal holds frames that the later copy of the store has
    // too.
    for collector in FACEBOOK {
        lost.signal_to(collector, "STOP").await;
    }
    let stored = stored(&lost).await;
    meanwhile.wait_for_accepted(5).await;
    lost.nats().signal("STOP");
    run("cp", &["--archive", text(lost.nats().store()), text(&store)]).await;
    lost.nats().signal("CONT");
    for collector in FACEBOOK {
        lost.signal_to(collector, "CONT").await;
    }
    eventually(async || if self::stored(&lost).await > stored { Ok(()) } else { Err("nothing is stored") })
        .await;
    let pg_dump = program("pg_dump");
    run(text(&pg_dump), &["--format=custom", "--file", text(&dump), "--dbname", &database_url]).await;
    lost.signal("KILL").await;
    lost.wait_for_exits().await;

    let (nats, postgres) = tokio::join!(Nats::start_in(store), Postgres::start());
    let restored_url = postgres.fresh_database_url().await;
    run(text(&program("pg_restore")), &["--no-owner", "--dbname", &restored_url, text(&dump)]).await;
    let storage = Storage::Servers { nats, database_url: restored_url };
    let mut restored = Weir::fleet_with(storage, Vec::new()).await;
    restored.expect_recovery().await;
    let verification = ledger.verify(&restored).await;
    assert_eq!((verification.parked, verification.unanswered_requests), (0, 0), "{verification}");
    eventually(async || {
        let redelivered = restored.metric("frames_redelivered_total", &[]).await;
        if redelivered > 0.0 { Ok(()) } else { Err("no frame was in both copies") }
    })
    .await;
}

/// The number of Facebook's events in the reports.
async fn stored(weir: &Weir) -> u64 {
    let report = weir.report("events", &[("source", "facebook".to_owned())]).await;
    report.body["totalEvents"].as_u64().unwrap_or_else(|| panic!("no totalEvents in {report:?}"))
}

/// Runs a program; fails unless it ends with code 0.
async fn run(program: &str, args: &[&str]) {
    let output = Command::new(program).args(args).stdin(Stdio::null()).output().await.unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
