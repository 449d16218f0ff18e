//! Faults of the journal's server: it dies, flaps, hangs, or is full.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::json;
use weir_testkit::{Storage, Weir, events::Sender, eventually, eventually::within, load::Load, soak};

/// The time until the ready probe reports an outage, with some reserve for a busy machine.
const READINESS_DEADLINE: Duration = Duration::from_secs(8);

#[tokio::test(flavor = "multi_thread")]
async fn the_journal_s_server_is_killed_and_senders_are_refused_until_it_is_back() {
    let mut weir = Weir::fleet().await;
    let load = Load::start(&weir);
    load.wait_for_accepted(10).await;
    weir.nats().kill();
    load.wait_for_refused(10).await;
    let refused = weir.post(&json!(Sender::new("refused", 1).events(1))).await;
    refused.expect_problem(StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.header("retry-after").parse::<u64>().is_ok(), "{refused:?}");
    within(READINESS_DEADLINE, async || match weir.readiness("ingest").await {
        (false, _) => Ok(()),
        ready => Err(ready),
    })
    .await;
    weir.nats().start_again().await;
    weir.expect_recovery().await;
    let verification = load.verify(&weir).await;
    assert!(verification.unanswered_requests >= 10, "{verification}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_journal_s_server_flaps_and_nothing_is_lost() {
    let mut weir = Weir::fleet().await;
    let load = Load::start(&weir);
    for _ in 0..if soak() { 5 } else { 2 } {
        load.wait_for_accepted(5).await;
        weir.nats().kill();
        weir.nats().start_again().await;
    }
    weir.expect_recovery().await;
    load.verify(&weir).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_journal_s_server_hangs_and_no_event_is_accepted_meanwhile() {
    let mut weir = Weir::fleet().await;
    let load = Load::start(&weir);
    load.wait_for_accepted(10).await;
    weir.nats().signal("STOP");
    load.wait_for_refused(if soak() { 100 } else { 10 }).await;
    weir.nats().signal("CONT");
    weir.expect_recovery().await;
    load.verify(&weir).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_journal_is_full_while_collectors_are_away_and_accepts_again_when_they_return() {
    let settings = vec![("JOURNAL_MAX_BYTES", "1MiB".to_owned())];
    let mut weir = Weir::fleet_with(Storage::servers().await, settings).await;
    for name in ["collect-facebook", "collect-facebook-too", "collect-tiktok"] {
        weir.kill(name).await;
    }
    let load = Load::of(&weir, &["--min", "200", "--max", "400", "--interval-ms", "50"]);
    load.wait_for_refused(5).await;
    for name in ["collect-facebook", "collect-facebook-too", "collect-tiktok"] {
        weir.start_process(name);
    }
    load.wait_for_accepted(20).await;
    weir.expect_recovery().await;
    eventually(async || {
        let full = weir.metric_of("ingest", "events_failed_total", &[("error_type", "journal_full")]).await;
        if full > 0.0 { Ok(()) } else { Err("the journal was never full") }
    })
    .await;
    load.verify(&weir).await;
}
