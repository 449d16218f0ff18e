//! A process that hangs: it holds what it has, and nobody is told.

use std::time::Duration;

use weir_testkit::{Ground, Weir, eventually, load::Load, soak};

/// A freeze longer than the acknowledgement deadline.
const ACK_WAIT_MS: &str = "2000";

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_freezes_with_frames_in_hand_and_the_other_one_stores_them() {
    let settings = vec![("JOURNAL_ACK_WAIT_MS", ACK_WAIT_MS.to_owned())];
    let mut weir = Weir::fleet_with(Ground::servers().await, settings).await;
    let load = Load::start(&weir);
    load.answered(10).await;
    weir.signal_to("collect-facebook", "STOP").await;
    load.answered(if soak() { 400 } else { 100 }).await;
    // What the frozen one held is offered to the other one, while the first is still frozen.
    let other = async || weir.metric_of("collect-facebook-too", "events_processed_total", &[]).await;
    let before = other().await;
    eventually(async || if other().await > before { Ok(()) } else { Err("the other one stands still") })
        .await;
    weir.signal_to("collect-facebook", "CONT").await;
    weir.recovers().await;
    load.prove(&weir).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ingest_freezes_and_the_edge_answers_in_time() {
    let settings = vec![("EDGE_REQUEST_TIMEOUT_MS", "3000".to_owned())];
    let mut weir = Weir::fleet_with(Ground::servers().await, settings).await;
    let load = Load::start(&weir);
    load.answered(10).await;
    weir.signal_to("ingest", "STOP").await;
    let started = tokio::time::Instant::now();
    load.refused(10).await;
    let waited = started.elapsed();
    assert!(waited < Duration::from_secs(20), "the first answers came after {waited:?}");
    weir.signal_to("ingest", "CONT").await;
    weir.recovers().await;
    load.prove(&weir).await;
}
