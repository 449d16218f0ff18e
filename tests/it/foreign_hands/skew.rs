//! Clock skew: a process measures the distance of its clock from the servers' clocks, shows and logs it, and removes
//! nothing because of it.

use chrono::{SecondsFormat, Utc};
use serde_json::json;
use tokio::time::sleep;
use weir_event::Source;
use weir_testkit::{
    Storage, Weir, clock,
    database::stored_events,
    events::{Sender, with_id},
    eventually,
};

use super::{FIRST_SWEEP, expect_reported};

const EVENTS: usize = 200;
const DAY: f64 = 86_400.0;
/// The tolerance of a measured skew in seconds. A sample takes long on a busy machine.
const NEAR: f64 = 60.0;

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_whose_clock_is_91_days_ahead_removes_nothing_and_reports_it() {
    let settings = vec![("EVENT_RETENTION", "90d".to_owned())];
    let mut weir = Weir::fleet_with(Storage::servers().await, settings).await;
    let store = weir.store().await;
    weir.post(&json!(Sender::new("skewed", 44).events(EVENTS))).await.expect_accepted(EVENTS, 0);
    weir.drained(EVENTS).await;

    weir.join("collect-ahead", &["collect", "all"], &clock::off_by("+91d")).await;
    sleep(FIRST_SWEEP).await;
    assert_eq!(stored_events(&store).await.len(), EVENTS, "rows were removed");
    for against in ["journal", "database"] {
        expect_skew(&weir, "collect-ahead", against, 91.0 * DAY).await;
    }
    expect_reported(&weir, "collect-ahead", "clock").await;
    expect_warning(&weir, "collect-ahead").await;
    expect_skew(&weir, "collect-facebook", "database", 0.0).await;
    let (_, dependencies) = weir.readiness("collect-facebook").await;
    assert_ne!(dependencies["clock"]["ready"], false, "its clock is right: {dependencies}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_ten_minutes_behind_is_reported_and_its_processes_stay_ready() {
    let mut weir = Weir::fleet().await;
    for name in ["ingest", "reporting"] {
        weir.kill(name).await;
        weir.start_process_with(name, &clock::off_by("-10m"));
    }
    weir.ready().await;
    for (process, against) in [("ingest", "journal"), ("reporting", "database")] {
        expect_skew(&weir, process, against, -600.0).await;
        expect_reported(&weir, process, "clock").await;
        expect_warning(&weir, process).await;
    }
    weir.expect_recovery().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timestamp_that_only_ingest_takes_for_future_is_refused_with_a_hint_at_its_clock() {
    let weir = Weir::up_with(Storage::servers().await, clock::all_off_by("-2d")).await;
    let mut event = with_id(Source::Facebook, "now");
    event["timestamp"] = Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true).into();
    eventually(async || {
        let answer = weir.post(&event).await;
        assert_eq!(answer.pointers(0), ["/timestamp"], "{answer:?}");
        let message = answer.body["errors"][0]["violations"][0]["message"].as_str().unwrap_or_default();
        if message.contains("clock") { Ok(()) } else { Err(answer) }
    })
    .await;
}

/// Waits until a process shows that its clock is `seconds` ahead of a server's clock.
async fn expect_skew(weir: &Weir, process: &str, against: &str, seconds: f64) {
    eventually(async || {
        let shown = weir.series_value(process, "weir_clock_skew_seconds", &[("against", against)]).await;
        match shown {
            Some(skew) if (skew - seconds).abs() < NEAR => Ok(()),
            other => Err(format!("{process} shows {other:?} against the {against}, not {seconds}")),
        }
    })
    .await;
}

/// Waits until a process has logged a warning about its clock.
async fn expect_warning(weir: &Weir, process: &str) {
    eventually(async || {
        let log = weir.log_of(process);
        let warned = log.lines().any(|line| line.contains(r#""level":"warn""#) && line.contains("clock"));
        if warned { Ok(()) } else { Err(format!("{process} does not warn: {log}")) }
    })
    .await;
}
