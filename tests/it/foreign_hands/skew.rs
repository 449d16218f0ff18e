//! The distance of a process's clock from those of the servers is measured, shown and told, and nothing is removed by it.

use chrono::{SecondsFormat, Utc};
use serde_json::json;
use tokio::time::sleep;
use weir_event::Source;
use weir_testkit::{
    Ground, Weir, clock,
    database::stored_events,
    events::{Sender, with_id},
    eventually,
};

use super::{SWEPT, named};

const EVENTS: usize = 200;
const DAY: f64 = 86_400.0;
/// Seconds that a skew may be shown otherwise than it is: a sample takes its time on a busy machine.
const NEAR: f64 = 60.0;

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_whose_clock_is_91_days_ahead_removes_nothing_and_says_so() {
    let settings = vec![("EVENT_RETENTION", "90d".to_owned())];
    let mut weir = Weir::fleet_with(Ground::servers().await, settings).await;
    let store = weir.store().await;
    weir.post(&json!(Sender::new("skewed", 44).events(EVENTS))).await.expect_accepted(EVENTS, 0);
    weir.drained(EVENTS).await;

    weir.join("collect-ahead", &["collect", "all"], &clock::off_by("+91d")).await;
    sleep(SWEPT).await;
    assert_eq!(stored_events(&store).await.len(), EVENTS, "rows were removed");
    for against in ["journal", "database"] {
        skew_is(&weir, "collect-ahead", against, 91.0 * DAY).await;
    }
    named(&weir, "collect-ahead", "clock").await;
    warns(&weir, "collect-ahead").await;
    skew_is(&weir, "collect-facebook", "database", 0.0).await;
    let (_, dependencies) = weir.readiness("collect-facebook").await;
    assert_ne!(dependencies["clock"]["ready"], false, "its clock is right: {dependencies}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_ten_minutes_behind_is_named_and_its_processes_stay_ready() {
    let mut weir = Weir::fleet().await;
    for name in ["ingest", "reporting"] {
        weir.kill(name).await;
        weir.revive_with(name, &clock::off_by("-10m"));
    }
    weir.ready().await;
    for (process, against) in [("ingest", "journal"), ("reporting", "database")] {
        skew_is(&weir, process, against, -600.0).await;
        named(&weir, process, "clock").await;
        warns(&weir, process).await;
    }
    weir.recovers().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timestamp_that_only_ingest_takes_for_future_is_refused_with_a_word_on_its_clock() {
    let weir = Weir::up_with(Ground::servers().await, clock::all_off_by("-2d")).await;
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

/// Waits until a process shows that its clock is `seconds` ahead of a server's.
async fn skew_is(weir: &Weir, process: &str, against: &str, seconds: f64) {
    eventually(async || {
        let shown = weir.shown(process, "weir_clock_skew_seconds", &[("against", against)]).await;
        match shown {
            Some(skew) if (skew - seconds).abs() < NEAR => Ok(()),
            other => Err(format!("{process} shows {other:?} against the {against}, not {seconds}")),
        }
    })
    .await;
}

/// Waits until a process has logged a warning about its clock.
async fn warns(weir: &Weir, process: &str) {
    eventually(async || {
        let log = weir.log_of(process);
        let warned = log.lines().any(|line| line.contains(r#""level":"warn""#) && line.contains("clock"));
        if warned { Ok(()) } else { Err(format!("{process} does not warn: {log}")) }
    })
    .await;
}
