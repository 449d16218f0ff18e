//! What an acknowledgement is worth, told truthfully: at the start, as a gauge, and in the ready probe.

use serde_json::Value;
use weir_testkit::{Ground, Weir, eventually, nats::Nats};

const PROMISES: [&str; 3] = ["power_loss", "process_crash", "unknown"];

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_journal_outlives_a_power_cut() {
    let mut weir = Weir::on_files().await;
    expect_promise(&mut weir, "power_loss").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_syncs_before_it_acknowledges_outlives_a_power_cut() {
    let mut weir = monitored(Ground::servers().await).await;
    expect_promise(&mut weir, "power_loss").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_syncs_later_is_warned_of() {
    let mut ground = Ground::servers().await;
    if let Ground::Servers { nats, .. } = &mut ground {
        *nats = Nats::start_with_late_sync().await;
    }
    let mut weir = monitored(ground).await;
    expect_promise(&mut weir, "process_crash").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_nobody_can_ask_is_warned_of() {
    let mut weir = Weir::on_servers().await;
    expect_promise(&mut weir, "unknown").await;
}

/// `weir up` that is told where its nats-server says what it promises.
async fn monitored(ground: Ground) -> Weir {
    let Ground::Servers { nats, .. } = &ground else { panic!("files have no monitoring port") };
    let settings = vec![("NATS_MONITOR_URL", nats.monitor_url())];
    Weir::up_with(ground, settings).await
}

/// The gauge, the ready probe and the log tell the same, and a lesser promise keeps nobody from being ready.
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
    let told = &dependencies["ingest.durability"];
    assert!(ready, "{dependencies}");
    assert_eq!(
        (&told["ready"], &told["required"]),
        (&Value::from(promise == "power_loss"), &Value::from(false))
    );
    let level = if promise == "power_loss" { "info" } else { "warn" };
    let log = weir.log();
    let line = log.lines().find(|line| line.contains(&format!(r#""promise":"{promise}""#)));
    let line = line.unwrap_or_else(|| panic!("no line tells of {promise}: {log}"));
    assert!(line.contains(&format!(r#""level":"{level}""#)), "{line}");
    weir.stop().await;
}
