//! The journal's stream vanishes: it is there again within seconds, and every frame that went with it is counted.

use std::time::Duration;

use tokio::time::sleep;

use super::{NOTED, ids, lost_is, named, one_source, post_each, stored_are};
use crate::harness::{eventually, eventually::within, nats::Operator};

/// How soon the stream is there again, and some for a busy machine.
const REMADE: Duration = Duration::from_secs(10);
const BOTH: [&str; 2] = ["ingest", "collect-facebook"];

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_waited_in_a_stream_that_was_deleted_are_counted_as_lost() {
    let mut weir = one_source().await;
    let (store, operator) = (weir.store().await, weir.operator().await);
    weir.retire("collect-facebook").await;
    post_each(&weir, ids("lost", 20)).await;
    let frames = operator.waiting("facebook").await;
    assert!(frames > 0, "no frame waits");
    sleep(NOTED).await;
    operator.context.delete_stream("EVENTS").await.unwrap();
    is_there_again(&operator).await;

    weir.revive("collect-facebook");
    weir.ready().await;
    lost_is(&weir, &BOTH, frames).await;
    for process in BOTH {
        named(&weir, process, "frames_lost").await;
    }
    post_each(&weir, ids("after", 5)).await;
    stored_are(&store, ids("after", 5)).await;
    lost_is(&weir, &BOTH, frames).await;

    let (status, told) = weir.run(&["journal", "forget-lost"], &[]).await;
    assert!(status.success(), "{told}");
    lost_is(&weir, &BOTH, 0).await;
    post_each(&weir, ids("forgotten", 5)).await;
    stored_are(&store, ids("after", 5).chain(ids("forgotten", 5))).await;
    lost_is(&weir, &BOTH, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_with_a_stream_whose_frames_were_all_acknowledged() {
    let weir = one_source().await;
    let (store, operator) = (weir.store().await, weir.operator().await);
    post_each(&weir, ids("before", 20)).await;
    stored_are(&store, ids("before", 20)).await;
    nothing_waits(&operator).await;
    sleep(NOTED).await;
    operator.context.delete_stream("EVENTS").await.unwrap();
    is_there_again(&operator).await;

    post_each(&weir, ids("after", 5)).await;
    stored_are(&store, ids("before", 20).chain(ids("after", 5))).await;
    lost_is(&weir, &BOTH, 0).await;
    for process in BOTH {
        let (ready, dependencies) = weir.readiness(process).await;
        assert!(ready && dependencies["frames_lost"]["ready"] != false, "{process}: {dependencies}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_vanishes_again_and_again_is_made_anew_each_time() {
    let mut weir = one_source().await;
    let (store, operator) = (weir.store().await, weir.operator().await);
    let mut stored = Vec::new();
    for round in 0..3 {
        let of_round = ids(&format!("round-{round}"), 5).collect::<Vec<_>>();
        post_each(&weir, of_round.iter().cloned()).await;
        stored.extend(of_round);
        stored_are(&store, stored.iter().cloned()).await;
        nothing_waits(&operator).await;
        sleep(NOTED).await;
        operator.context.delete_stream("EVENTS").await.unwrap();
        is_there_again(&operator).await;
    }
    weir.ready().await;
    lost_is(&weir, &BOTH, 0).await;
}

async fn is_there_again(operator: &Operator) {
    within(REMADE, async || operator.stream("EVENTS").await.map(drop)).await;
}

async fn nothing_waits(operator: &Operator) {
    eventually(async || match operator.waiting("facebook").await {
        0 => Ok(()),
        waiting => Err(format!("{waiting} frames wait")),
    })
    .await;
}
