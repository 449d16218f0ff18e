//! The journal's stream or a consumer vanishes: it is there again within seconds, and every frame that went with it is
//! counted.

use std::time::Duration;

use async_nats::jetstream::{
    consumer::{FromConsumer as _, pull},
    stream::Config,
};
use tokio::time::sleep;
use weir_testkit::{Weir, eventually, eventually::within, load::Load, nats::Operator};

use super::{NOTED, ids, lost_is, named, one_source, post_each, stored_are};

/// How soon the stream is there again, and some for a busy machine.
const REMADE: Duration = Duration::from_secs(10);
const BOTH: [&str; 2] = ["ingest", "collect-facebook"];
/// In which a consumer is deleted twice.
const ROUNDS: usize = 6;

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
        eventually(async || match weir.readiness(process).await {
            (true, dependencies) if dependencies["frames_lost"]["ready"] == true => Ok(()),
            (_, dependencies) => Err(format!("{process}: {dependencies}")),
        })
        .await;
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

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_waited_and_were_purged_by_hand_are_counted_as_lost() {
    let mut weir = one_source().await;
    let (store, operator) = (weir.store().await, weir.operator().await);
    post_each(&weir, ids("stored", 5)).await;
    stored_are(&store, ids("stored", 5)).await;
    nothing_waits(&operator).await;
    sleep(NOTED).await;
    let events = operator.context.get_stream("EVENTS").await.unwrap();
    events.purge().sequence(3).await.unwrap();
    weir.retire("collect-facebook").await;
    post_each(&weir, ids("lost", 12)).await;
    let frames = operator.waiting("facebook").await;
    assert!(frames > 0, "no frame waits");
    sleep(NOTED).await;
    events.purge().await.unwrap();
    lost_is(&weir, &["ingest"], frames).await;
    weir.revive("collect-facebook");
    weir.ready().await;
    lost_is(&weir, &BOTH, frames).await;
    post_each(&weir, ids("after", 5)).await;
    stored_are(&store, ids("stored", 5).chain(ids("after", 5))).await;
    lost_is(&weir, &BOTH, frames).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_dead_letters_and_the_bucket_of_notes_that_vanish_are_made_anew() {
    let weir = one_source().await;
    let operator = weir.operator().await;
    for stream in ["REJECTED", "DEAD_LETTERS", "KV_WEIR_STATE"] {
        operator.context.delete_stream(stream).await.unwrap();
    }
    for stream in ["REJECTED", "DEAD_LETTERS", "KV_WEIR_STATE"] {
        within(REMADE, async || operator.stream(stream).await.map(drop)).await;
    }
    let answer = weir.post(&serde_json::json!([{"eventId": "bad"}])).await;
    assert_eq!(answer.status, reqwest::StatusCode::BAD_REQUEST, "a bad item is laid down: {answer:?}");
    lost_is(&weir, &BOTH, 0).await;
}

/// As a collector of the build before sets its consumer, and as an operator gave the stream an age by the runbook of then.
#[tokio::test(flavor = "multi_thread")]
async fn what_an_earlier_build_or_an_operator_sets_back_is_set_right_while_ingest_runs() {
    let weir = one_source().await;
    let operator = weir.operator().await;
    let aged = Config { max_age: Duration::from_secs(7 * 86_400), ..operator.settings("EVENTS").await };
    operator.context.update_stream(aged).await.unwrap();
    within(REMADE, async || match operator.settings("EVENTS").await.max_age {
        Duration::ZERO => Ok(()),
        age => Err(age),
    })
    .await;
    let events = operator.context.get_stream("EVENTS").await.unwrap();
    let consumer = operator.consumer("collector-facebook").await.unwrap().config;
    let mut before = pull::Config::try_from_consumer_config(consumer).unwrap();
    (before.filter_subject, before.filter_subjects) = ("events.facebook".to_owned(), Vec::new());
    events.update_consumer(before).await.unwrap();
    within(REMADE, async || {
        match operator.consumer("collector-facebook").await.unwrap().config.filter_subjects.len() {
            2 => Ok(()),
            filters => Err(filters),
        }
    })
    .await;
    lost_is(&weir, &BOTH, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_age_removes_that_somebody_gives_the_stream_is_counted_as_lost() {
    let mut weir = one_source().await;
    let operator = weir.operator().await;
    weir.retire("collect-facebook").await;
    post_each(&weir, ids("aged", 12)).await;
    let frames = operator.waiting("facebook").await;
    sleep(NOTED).await;
    // A server takes no shorter age than the window of duplicates.
    let short = Duration::from_secs(1);
    let aged = Config { max_age: short, duplicate_window: short, ..operator.settings("EVENTS").await };
    operator.context.update_stream(aged).await.unwrap();
    eventually(async || match operator.settings("EVENTS").await.max_age {
        Duration::ZERO => Ok(()),
        age => Err(age),
    })
    .await;
    // The server removes at its own time: what it had removed by then, and no more.
    eventually(async || {
        let lost = weir.metric_of("ingest", "weir_frames_lost", &[("source", "facebook")]).await;
        let waiting = operator.waiting("facebook").await;
        if lost + waiting as f64 == frames as f64 { Ok(()) } else { Err((lost, waiting, frames)) }
    })
    .await;
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

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_is_deleted_twelve_times_under_load_ends_no_process_and_loses_nothing() {
    let mut weir = Weir::fleet().await;
    let operator = weir.operator().await;
    let load = Load::start(&weir);
    load.answered(5).await;
    for _ in 0..ROUNDS {
        // The second one meets those that make it anew.
        delete_as_soon_as_it_is_there(&operator).await;
        delete_as_soon_as_it_is_there(&operator).await;
        load.answered(5).await;
        weir.ready().await;
    }
    weir.recovers().await;
    let proof = load.prove(&weir).await;
    assert_eq!((proof.parked, proof.unanswered_requests), (0, 0), "{proof}");
    lost_is(&weir, &["ingest", "collect-facebook", "collect-facebook-too"], 0).await;
}

/// At the moment at which collectors make it anew, a server may answer 500 (error 10012).
async fn delete_as_soon_as_it_is_there(operator: &Operator) {
    eventually(async || {
        let mut refused = String::new();
        for _ in 0..100 {
            match operator.context.delete_consumer_from_stream("collector-facebook", "EVENTS").await {
                Ok(_) => return Ok(()),
                Err(error) => refused = error.to_string(),
            }
        }
        Err(refused)
    })
    .await;
}
