//! The audit: a frame that is acknowledged and not stored is unaccounted, over restarts, until it is stored.

use std::time::Duration;

use async_nats::jetstream;
use weir_event::Source;
use weir_journal::{Framer, Journal, Settings};
use weir_testkit::{
    Storage, Weir,
    events::{admit, origin, with_id},
    eventually,
    load::Load,
};

on_files_and_on_servers!(a_frame_that_is_acknowledged_and_not_stored_stays_unaccounted_after_restarts);

const SOON: Duration = Duration::from_secs(20);

async fn a_frame_that_is_acknowledged_and_not_stored_stays_unaccounted_after_restarts(mut weir: Weir) {
    let load = Load::start(&weir);
    load.wait_for_accepted(5).await;
    load.verify(&weir).await;
    weir.stop().await;
    lose_a_frame(&weir).await;
    weir.start_again().await;
    unaccounted_is(&weir, 1.0).await;
    assert_eq!(weir.unaccounted_frames().await.len(), 1);
    weir.signal("KILL").await;
    weir.wait_for_exits().await;
    weir.start_again().await;
    unaccounted_is(&weir, 1.0).await;
    assert_eq!(weir.unaccounted_frames().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_that_was_unaccounted_is_accounted_for_when_it_is_stored_after_all() {
    let mut weir = Weir::on_servers().await;
    unaccounted_is(&weir, 0.0).await;
    weir.stop().await;
    lose_a_frame(&weir).await;
    weir.start_again().await;
    unaccounted_is(&weir, 1.0).await;
    assert_eq!(weir.reported_events().await, 0);
    // The remedy of docs/runbook.md for WeirFramesUnaccounted, in a running system.
    let Storage::Servers { nats, .. } = weir.storage() else { unreachable!("servers were asked for") };
    let context = jetstream::new(async_nats::connect(nats.url()).await.unwrap());
    context.delete_consumer_from_stream("collector-facebook", "EVENTS").await.unwrap();
    unaccounted_is(&weir, 0.0).await;
    assert_eq!(weir.reported_events().await, 1);
    weir.expect_all_accounted().await;
}

/// Appends and acknowledges a frame that is not stored. No collector may run meanwhile.
async fn lose_a_frame(weir: &Weir) {
    let journal = match weir.storage() {
        Storage::Servers { nats, .. } => Journal::connect(&nats.servers(), Settings::default(), SOON).await,
        Storage::Files => Journal::open(weir.store_file().parent().unwrap(), Settings::default()).await,
    };
    let journal = journal.unwrap();
    let mut framer = Framer::default();
    framer.push(admit(&with_id(Source::Facebook, "lost")), &origin(), 0);
    journal.append(&framer.finish()).await.unwrap();
    let mut consumer = journal.consumer(Source::Facebook).await.unwrap();
    let mut offered = consumer.next(1, SOON).await.unwrap();
    offered.pop().expect("the frame is offered").ack().await.unwrap();
    drop(consumer);
    journal.close(SOON).await;
}

async fn unaccounted_is(weir: &Weir, frames: f64) {
    eventually(async || {
        let shown: Vec<_> = weir.series().await;
        if !shown.iter().any(|series| series.name == "weir_frames_unaccounted") {
            return Err("the gauge is absent".to_owned());
        }
        let unaccounted = weir.metric("weir_frames_unaccounted", &[]).await;
        if unaccounted == frames { Ok(()) } else { Err(unaccounted.to_string()) }
    })
    .await;
}
