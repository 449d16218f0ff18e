//! Processes whose clock is days off: they remove no frames and no rows before their time.

use serde_json::json;
use tokio::time::sleep;
use weir_testkit::{Storage, Weir, clock, database::stored_events, events::Sender, eventually};

use super::{FIRST_SWEEP, expect_reported, lock_store};

on_files_and_on_servers!(frames_that_wait_outlive_a_start_with_a_clock_8_days_ahead);

const EVENTS: usize = 200;

fn kept_90_days() -> Vec<(&'static str, String)> {
    vec![("EVENT_RETENTION", "90d".to_owned())]
}

async fn frames_that_wait_outlive_a_start_with_a_clock_8_days_ahead(mut weir: Weir) {
    let store = weir.store().await;
    let lock = lock_store(&store).await;
    weir.post(&json!(Sender::new("waiting", 41).events(EVENTS))).await.expect_accepted(EVENTS, 0);
    weir.crash().await;
    weir.start_again_with(clock::all_off_by("+8d")).await;
    weir.crash().await;
    lock.rollback().await.unwrap();

    weir.start_again_with(Vec::new()).await;
    expect_reported_events(&weir, EVENTS).await;
    weir.expect_all_accounted().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_on_files_outlive_a_start_with_a_clock_91_days_ahead() {
    let mut weir = Weir::up_with(Storage::Files, kept_90_days()).await;
    let store = weir.store().await;
    weir.post(&json!(Sender::new("rows", 42).events(EVENTS))).await.expect_accepted(EVENTS, 0);
    weir.drained(EVENTS).await;

    weir.restart_with([kept_90_days(), clock::all_off_by("+91d")].concat()).await;
    sleep(FIRST_SWEEP).await;
    assert_eq!(stored_events(&store).await.len(), EVENTS, "rows were removed");
    let reason = expect_reported(&weir, "up", "collectors.clock").await;
    assert!(reason.contains("removal") || reason.contains("held"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_kept_from_their_storing_and_not_from_an_arrival_100_days_back() {
    let settings = [kept_90_days(), clock::all_off_by("-100d")].concat();
    let mut weir = Weir::up_with(Storage::servers().await, settings).await;
    let store = weir.store().await;
    weir.post(&json!(Sender::new("backdated", 43).events(EVENTS))).await.expect_accepted(EVENTS, 0);
    expect_reported_events(&weir, EVENTS).await;

    weir.restart_with(kept_90_days()).await;
    sleep(FIRST_SWEEP).await;
    assert_eq!(stored_events(&store).await.len(), EVENTS, "rows were removed");
}

/// Waits until the reports have so many events.
async fn expect_reported_events(weir: &Weir, events: usize) {
    eventually(async || match weir.reported_events().await {
        reported if reported == events as u64 => Ok(()),
        reported => Err(format!("{reported} of {events} events are reported")),
    })
    .await;
}
