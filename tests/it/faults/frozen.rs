//! Frozen processes: they hold frames and connections, and no peer sees an error.

use std::time::Duration;

use weir_testkit::{Storage, Weir, eventually, load::Load, soak};

/// The acknowledgement deadline in milliseconds. A freeze lasts longer.
const ACK_WAIT_MS: &str = "2000";

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_freezes_with_frames_in_hand_and_the_other_one_stores_them() {
    let settings = vec![("JOURNAL_ACK_WAIT_MS", ACK_WAIT_MS.to_owned())];
    let mut weir = Weir::fleet_with(Storage::servers().await, settings).await;
    let load = Load::start(&weir);
    load.wait_for_accepted(10).await;
    weir.signal_to("collect-facebook", "STOP").await;
    load.wait_for_accepted(if soak() { 400 } else { 100 }).await;
    // The journal offers the frozen collector's frames to the other one, while the first is still frozen.
    let other = async || weir.metric_of("collect-facebook-too", "events_processed_total", &[]).await;
    let before = other().await;
    eventually(
        async || if other().await > before { Ok(()) } else { Err("the other collector processes nothing") },
    )
    .await;
    weir.signal_to("collect-facebook", "CONT").await;
    weir.expect_recovery().await;
    load.verify(&weir).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ingest_freezes_and_the_edge_answers_in_time() {
    let settings = vec![("EDGE_REQUEST_TIMEOUT_MS", "3000".to_owned())];
    let mut weir = Weir::fleet_with(Storage::servers().await, settings).await;
    let load = Load::start(&weir);
    load.wait_for_accepted(10).await;
    weir.signal_to("ingest", "STOP").await;
    let started = tokio::time::Instant::now();
    load.wait_for_refused(10).await;
    let waited = started.elapsed();
    assert!(waited < Duration::from_secs(20), "the first answers came after {waited:?}");
    weir.signal_to("ingest", "CONT").await;
    weir.expect_recovery().await;
    load.verify(&weir).await;
}
