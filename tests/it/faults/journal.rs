//! The journal's server dies, flaps, hangs, or is full.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::json;
use weir_testkit::{Ground, Weir, events::Sender, eventually, eventually::within, load::Load, soak};

/// How soon readiness tells of an outage, and some for a busy machine.
const TOLD: Duration = Duration::from_secs(8);

#[tokio::test(flavor = "multi_thread")]
async fn the_journal_s_server_is_killed_and_senders_are_told_until_it_is_back() {
    let mut weir = Weir::fleet().await;
    let load = Load::start(&weir);
    load.answered(10).await;
    weir.nats().kill();
    load.refused(10).await;
    let refused = weir.post(&json!(Sender::new("refused", 1).events(1))).await;
    refused.expect_problem(StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.header("retry-after").parse::<u64>().is_ok(), "{refused:?}");
    within(TOLD, async || match weir.readiness("ingest").await {
        (false, _) => Ok(()),
        ready => Err(ready),
    })
    .await;
    weir.nats().start_again().await;
    weir.recovers().await;
    let proof = load.prove(&weir).await;
    assert!(proof.unanswered_requests >= 10, "{proof}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_journal_s_server_flaps_and_nothing_is_lost() {
    let mut weir = Weir::fleet().await;
    let load = Load::start(&weir);
    for _ in 0..if soak() { 5 } else { 2 } {
        load.answered(5).await;
        weir.nats().kill();
        weir.nats().start_again().await;
    }
    weir.recovers().await;
    load.prove(&weir).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_journal_s_server_hangs_and_no_yes_is_said_meanwhile() {
    let mut weir = Weir::fleet().await;
    let load = Load::start(&weir);
    load.answered(10).await;
    weir.nats().signal("STOP");
    load.refused(if soak() { 100 } else { 10 }).await;
    weir.nats().signal("CONT");
    weir.recovers().await;
    load.prove(&weir).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_journal_is_full_while_collectors_are_away_and_takes_again_when_they_return() {
    let settings = vec![("JOURNAL_MAX_BYTES", "1MiB".to_owned())];
    let mut weir = Weir::fleet_with(Ground::servers().await, settings).await;
    for name in ["collect-facebook", "collect-facebook-too", "collect-tiktok"] {
        weir.kill(name).await;
    }
    let load = Load::of(&weir, &["--min", "200", "--max", "400", "--interval-ms", "50"]);
    load.refused(5).await;
    for name in ["collect-facebook", "collect-facebook-too", "collect-tiktok"] {
        weir.revive(name);
    }
    load.answered(20).await;
    weir.recovers().await;
    eventually(async || {
        let full = weir.metric_of("ingest", "events_failed_total", &[("error_type", "journal_full")]).await;
        if full > 0.0 { Ok(()) } else { Err("the journal was never full") }
    })
    .await;
    load.prove(&weir).await;
}
