//! The durability that an acknowledgement promises: Weir reports it in the log, as a gauge, and in the ready probe.

use serde_json::Value;
use weir_testkit::{Storage, Weir, eventually, nats::Nats};

const PROMISES: [&str; 3] = ["power_loss", "process_crash", "unknown"];

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_journal_survives_a_power_cut() {
    let mut weir = Weir::on_files().await;
    expect_promise(&mut weir, "power_loss").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_syncs_before_it_acknowledges_survives_a_power_cut() {
    let mut weir = monitored(Storage::servers().await).await;
    expect_promise(&mut weir, "power_loss").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_syncs_later_causes_a_warning() {
    let mut storage = Storage::servers().await;
    if let Storage::Servers { nats, .. } = &mut storage {
        *nats = Nats::start_with_late_sync().await;
    }
    let mut weir = monitored(storage).await;
    expect_promise(&mut weir, "process_crash").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_a_known_monitor_causes_a_warning() {
    let mut weir = Weir::on_servers().await;
    expect_promise(&mut weir, "unknown").await;
}

/// `weir up` with the monitoring URL of its nats-server.
async fn monitored(storage: Storage) -> Weir {
    let Storage::Servers { nats, .. } = &storage else { panic!("files have no monitoring port") };
    let settings = vec![("NATS_MONITOR_URL", nats.monitor_url())];
    Weir::up_with(storage, settings).await
}

/// Expects the same promise in the gauge, the ready probe and the log. The process is ready with a weaker promise too.
async fn expect_promise(weir: &mut Weir, promise: &str) {
    eventually(async || {
        let mut shown = Vec::new();
        for promise in PROMISES {
            if weir.metric("weir_journal_durability", &[("promise", promise)]).await == 1.0 {
                shown.push(promise);
            }
        }
        if shown == [promise] { Ok(()) } else { Err(shown) }
    })
    .await;
    let (ready, dependencies) = weir.readiness("up").await;
    let durability = &dependencies["ingest.durability"];
    assert!(ready, "{dependencies}");
    assert_eq!(
        (&durability["ready"], &durability["required"]),
        (&Value::from(promise == "power_loss"), &Value::from(false))
    );
    let level = if promise == "power_loss" { "info" } else { "warn" };
    let log = weir.log();
    let line = log.lines().find(|line| line.contains(&format!(r#""promise":"{promise}""#)));
    let line = line.unwrap_or_else(|| panic!("no line of the log has {promise}: {log}"));
    assert!(line.contains(&format!(r#""level":"{level}""#)), "{line}");
    weir.stop().await;
}
