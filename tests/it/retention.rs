//! Retention: old rows are removed, their counts stay, and repeats of their events stay duplicates.

mod fleet;
mod reports;
mod store_contents;

use sea_orm::ConnectionTrait as _;
use serde_json::{Value, json};
use store_contents::StoreContents;
use weir_event::Source;
use weir_testkit::{
    Weir,
    database::{accept_again, refuse},
    events::{Sender, with_id},
    eventually,
    load::Load,
};

on_files_and_on_servers!(
    rows_are_removed_while_a_publisher_runs_and_no_request_fails,
    a_repeat_of_a_removed_event_is_a_duplicate,
    an_event_whose_key_is_forgotten_is_new_again,
    a_dead_letter_of_a_removed_event_is_redriven_as_a_duplicate,
    accounts_of_old_frames_are_folded_and_their_sums_stay,
);

/// Short retentions, so that removals show within seconds.
fn keeping(rows: &str, keys: &str) -> Vec<(&'static str, String)> {
    vec![("EVENT_RETENTION", rows.to_owned()), ("EVENT_KEY_RETENTION", keys.to_owned())]
}

async fn rows_are_removed_while_a_publisher_runs_and_no_request_fails(mut weir: Weir) {
    weir.restart_with(keeping("2s", "400d")).await;
    let load = Load::start(&weir);
    for _ in 0..3 {
        let before = weir.metric("rows_removed_total", &[]).await;
        eventually(async || match weir.metric("rows_removed_total", &[]).await {
            removed if removed >= before + 500.0 => Ok(()),
            removed => Err(format!("{removed} rows removed")),
        })
        .await;
        load.wait_for_accepted(10).await;
    }
    let proof = load.verify(&weir).await;
    assert_eq!((proof.unanswered_requests, proof.parked), (0, 0), "{proof}");
    removed(&weir, proof.stored).await;
    let left = StoreContents::of(&weir).await;
    assert_eq!((left.rows, left.keys, left.horizons), (0, proof.stored, 2));
    assert_eq!(left.rolled_up, [proof.stored; 3], "removed events stay counted, once");
}

async fn a_repeat_of_a_removed_event_is_a_duplicate(mut weir: Weir) {
    let mut sender = Sender::new("old", 7);
    let old = sender.events(300);
    stored(&weir, &old).await;
    weir.restart_with(keeping("1s", "400d")).await;
    removed(&weir, 300).await;
    let before = StoreContents::of(&weir).await;
    assert_eq!((before.rows, before.keys, before.rolled_up), (0, 300, [300; 3]));

    weir.post(&json!(old)).await.expect_accepted(300, 0);
    weir.drained(300).await;
    assert_eq!(weir.metric("events_duplicate_total", &[]).await, 300.0);
    assert_eq!(StoreContents::of(&weir).await, StoreContents { accounted: (300, 300, 0), ..before });

    // Old and new events in one array.
    let mixed = [sender.events(10), old[..10].to_vec()].concat();
    weir.post(&json!(mixed)).await.expect_accepted(20, 0);
    weir.drained(320).await;
    assert_eq!(StoreContents::of(&weir).await.rolled_up, [310; 3]);
}

async fn an_event_whose_key_is_forgotten_is_new_again(mut weir: Weir) {
    let old = Sender::new("forgotten", 8).events(50);
    stored(&weir, &old).await;
    weir.restart_with(keeping("1s", "2s")).await;
    removed(&weir, 50).await;
    eventually(async || {
        let forgotten = weir.metric("event_keys_removed_total", &[]).await;
        if forgotten == 50.0 { Ok(()) } else { Err(forgotten) }
    })
    .await;
    assert_eq!(StoreContents::of(&weir).await.keys, 0);

    stored(&weir, &old).await;
    assert_eq!(weir.metric("events_duplicate_total", &[]).await, 0.0);
    assert_eq!(StoreContents::of(&weir).await.rolled_up, [100; 3]);
}

async fn a_dead_letter_of_a_removed_event_is_redriven_as_a_duplicate(mut weir: Weir) {
    let database = weir.store().await;
    refuse(&database, &["late"]).await;
    let late = with_id(Source::Facebook, "late");
    weir.post(&late).await.expect_accepted(1, 0);
    eventually(async || {
        let parked = weir.metric("events_failed_total", &[("error_type", "parked")]).await;
        if parked == 1.0 { Ok(()) } else { Err(parked) }
    })
    .await;
    accept_again(&database).await;
    // The sender repeats the event before the operator redrives its dead letter.
    stored(&weir, &[late]).await;
    weir.restart_with(keeping("1s", "400d")).await;
    removed(&weir, 1).await;

    let (status, output) =
        weir.run(&["dead-letters", "redrive", "--graveyard", "parked", "--json"], &[]).await;
    assert!(status.success(), "{output}");
    let report: Value = serde_json::from_str(&output).unwrap();
    assert_eq!(report["fate"], json!({"stored": 0, "duplicate": 1, "parked": 0, "unsettled": 0}), "{report}");
    assert_eq!(StoreContents::of(&weir).await.rolled_up, [1; 3]);
}

async fn accounts_of_old_frames_are_folded_and_their_sums_stay(mut weir: Weir) {
    let events = Sender::new("frames", 9).events(100);
    stored(&weir, &events).await;
    weir.post(&json!(events[..40])).await.expect_accepted(40, 0);
    weir.drained(140).await;
    let before = StoreContents::of(&weir).await;
    assert_eq!((before.accounted, before.folded), ((100, 40, 0), 0));
    let database = weir.store().await;
    // The journal may redeliver frames for 7 days, so that accounts stay for 8 days at any retention.
    const NINE_DAYS: &str = "UPDATE frames SET committed_at = committed_at - 9 * 86400000000";
    let aged = database.execute_unprepared(NINE_DAYS).await.unwrap().rows_affected();
    weir.restart_with(keeping("1s", "400d")).await;
    eventually(async || {
        let folded = weir.metric("frames_folded_total", &[]).await;
        if folded == aged as f64 { Ok(()) } else { Err(folded) }
    })
    .await;
    let after = StoreContents::of(&weir).await;
    assert_eq!((after.accounted, after.folded), (before.accounted, i64::try_from(aged).unwrap()));
}

/// Posts events that are new, and waits until they are stored.
async fn stored(weir: &Weir, events: &[Value]) {
    let before = weir.metric("events_processed_total", &[]).await as usize;
    weir.post(&json!(events)).await.expect_accepted(events.len(), 0);
    weir.drained(before + events.len()).await;
}

/// Waits until so many rows were removed since the collectors started, and no row is left.
async fn removed(weir: &Weir, rows: u64) {
    eventually(async || {
        let removed = weir.metric("rows_removed_total", &[]).await;
        if removed == rows as f64 { Ok(()) } else { Err(format!("{removed} of {rows} rows removed")) }
    })
    .await;
    assert_eq!(StoreContents::of(weir).await.rows, 0);
}
