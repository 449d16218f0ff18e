//! Deleted streams and consumers of the journal: ingest creates them again within seconds, and counts every frame that
//! was lost with them.

use std::time::Duration;

use async_nats::jetstream::{
    consumer::{FromConsumer as _, pull},
    stream::Config,
};
use tokio::time::sleep;
use weir_testkit::{Weir, eventually, eventually::within, load::Load, nats::Operator};

use super::{NOTE_INTERVAL, expect_lost_frames, expect_reported, expect_stored, ids, one_source, post_each};

/// The time until a deleted stream exists again, with some reserve for a busy machine.
const RECREATION_DEADLINE: Duration = Duration::from_secs(10);
const BOTH: [&str; 2] = ["ingest", "collect-facebook"];
/// The rounds in which a consumer is deleted twice.
const ROUNDS: usize = 6;

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_waited_in_a_stream_that_was_deleted_are_counted_as_lost() {
    let mut weir = one_source().await;
    let (store, operator) = (weir.store().await, weir.operator().await);
    weir.stop_process("collect-facebook").await;
    post_each(&weir, ids("lost", 20)).await;
    let frames = operator.waiting("facebook").await;
    assert!(frames > 0, "no frame waits");
    sleep(NOTE_INTERVAL).await;
    operator.context.delete_stream("EVENTS").await.unwrap();
    wait_for_stream(&operator).await;

    weir.start_process("collect-facebook");
    weir.ready().await;
    expect_lost_frames(&weir, &BOTH, frames).await;
    for process in BOTH {
        expect_reported(&weir, process, "frames_lost").await;
    }
    post_each(&weir, ids("after", 5)).await;
    expect_stored(&store, ids("after", 5)).await;
    expect_lost_frames(&weir, &BOTH, frames).await;

    let (status, output) = weir.run(&["journal", "forget-lost"], &[]).await;
    assert!(status.success(), "{output}");
    expect_lost_frames(&weir, &BOTH, 0).await;
    post_each(&weir, ids("forgotten", 5)).await;
    expect_stored(&store, ids("after", 5).chain(ids("forgotten", 5))).await;
    expect_lost_frames(&weir, &BOTH, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_stream_whose_frames_were_all_acknowledged_loses_nothing() {
    let weir = one_source().await;
    let (store, operator) = (weir.store().await, weir.operator().await);
    post_each(&weir, ids("before", 20)).await;
    expect_stored(&store, ids("before", 20)).await;
    expect_nothing_waiting(&operator).await;
    sleep(NOTE_INTERVAL).await;
    operator.context.delete_stream("EVENTS").await.unwrap();
    wait_for_stream(&operator).await;

    post_each(&weir, ids("after", 5)).await;
    expect_stored(&store, ids("before", 20).chain(ids("after", 5))).await;
    expect_lost_frames(&weir, &BOTH, 0).await;
    for process in BOTH {
        eventually(async || match weir.readiness(process).await {
            (true, dependencies) if dependencies["frames_lost"]["ready"] == true => Ok(()),
            (_, dependencies) => Err(format!("{process}: {dependencies}")),
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_deleted_again_and_again_is_created_again_each_time() {
    let mut weir = one_source().await;
    let (store, operator) = (weir.store().await, weir.operator().await);
    let mut stored = Vec::new();
    for round in 0..3 {
        let of_round = ids(&format!("round-{round}"), 5).collect::<Vec<_>>();
        post_each(&weir, of_round.iter().cloned()).await;
        stored.extend(of_round);
        expect_stored(&store, stored.iter().cloned()).await;
        expect_nothing_waiting(&operator).await;
        sleep(NOTE_INTERVAL).await;
        operator.context.delete_stream("EVENTS").await.unwrap();
        wait_for_stream(&operator).await;
    }
    weir.ready().await;
    expect_lost_frames(&weir, &BOTH, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_waited_and_were_purged_by_hand_are_counted_as_lost() {
    let mut weir = one_source().await;
    let (store, operator) = (weir.store().await, weir.operator().await);
    post_each(&weir, ids("stored", 5)).await;
    expect_stored(&store, ids("stored", 5)).await;
    expect_nothing_waiting(&operator).await;
    sleep(NOTE_INTERVAL).await;
    let events = operator.context.get_stream("EVENTS").await.unwrap();
    events.purge().sequence(3).await.unwrap();
    weir.stop_process("collect-facebook").await;
    post_each(&weir, ids("lost", 12)).await;
    let frames = operator.waiting("facebook").await;
    assert!(frames > 0, "no frame waits");
    sleep(NOTE_INTERVAL).await;
    events.purge().await.unwrap();
    expect_lost_frames(&weir, &["ingest"], frames).await;
    weir.start_process("collect-facebook");
    weir.ready().await;
    expect_lost_frames(&weir, &BOTH, frames).await;
    post_each(&weir, ids("after", 5)).await;
    expect_stored(&store, ids("stored", 5).chain(ids("after", 5))).await;
    expect_lost_frames(&weir, &BOTH, frames).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_dead_letter_streams_and_a_deleted_bucket_of_notes_are_created_again() {
    let weir = one_source().await;
    let operator = weir.operator().await;
    for stream in ["REJECTED", "DEAD_LETTERS", "KV_WEIR_STATE"] {
        operator.context.delete_stream(stream).await.unwrap();
    }
    for stream in ["REJECTED", "DEAD_LETTERS", "KV_WEIR_STATE"] {
        within(RECREATION_DEADLINE, async || operator.stream(stream).await.map(drop)).await;
    }
    let answer = weir.post(&serde_json::json!([{"eventId": "bad"}])).await;
    assert_eq!(
        answer.status,
        reqwest::StatusCode::BAD_REQUEST,
        "a bad item becomes a dead letter: {answer:?}"
    );
    expect_lost_frames(&weir, &BOTH, 0).await;
}

/// An operator gave the stream an age by an earlier runbook, and a collector of an earlier build set its consumer.
#[tokio::test(flavor = "multi_thread")]
async fn settings_that_an_earlier_build_or_an_operator_changes_back_are_corrected_while_ingest_runs() {
    let weir = one_source().await;
    let operator = weir.operator().await;
    let aged = Config { max_age: Duration::from_secs(7 * 86_400), ..operator.settings("EVENTS").await };
    operator.context.update_stream(aged).await.unwrap();
    within(RECREATION_DEADLINE, async || match operator.settings("EVENTS").await.max_age {
        Duration::ZERO => Ok(()),
        age => Err(age),
    })
    .await;
    let events = operator.context.get_stream("EVENTS").await.unwrap();
    let consumer = operator.consumer("collector-facebook").await.unwrap().config;
    let mut before = pull::Config::try_from_consumer_config(consumer).unwrap();
    (before.filter_subject, before.filter_subjects) = ("events.facebook".to_owned(), Vec::new());
    events.update_consumer(before).await.unwrap();
    within(RECREATION_DEADLINE, async || {
        match operator.consumer("collector-facebook").await.unwrap().config.filter_subjects.len() {
            2 => Ok(()),
            filters => Err(filters),
        }
    })
    .await;
    expect_lost_frames(&weir, &BOTH, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_an_added_maximum_age_removes_are_counted_as_lost() {
    let mut weir = one_source().await;
    let operator = weir.operator().await;
    weir.stop_process("collect-facebook").await;
    post_each(&weir, ids("aged", 12)).await;
    let frames = operator.waiting("facebook").await;
    sleep(NOTE_INTERVAL).await;
    // A server accepts no age below the window of duplicates.
    let short = Duration::from_secs(1);
    let aged = Config { max_age: short, duplicate_window: short, ..operator.settings("EVENTS").await };
    operator.context.update_stream(aged).await.unwrap();
    eventually(async || match operator.settings("EVENTS").await.max_age {
        Duration::ZERO => Ok(()),
        age => Err(age),
    })
    .await;
    // The server removes frames at its own time. Lost are those that it had removed before the correction, and no more.
    eventually(async || {
        let lost = weir.metric_of("ingest", "weir_frames_lost", &[("source", "facebook")]).await;
        let waiting = operator.waiting("facebook").await;
        if lost + waiting as f64 == frames as f64 { Ok(()) } else { Err((lost, waiting, frames)) }
    })
    .await;
}

async fn wait_for_stream(operator: &Operator) {
    within(RECREATION_DEADLINE, async || operator.stream("EVENTS").await.map(drop)).await;
}

async fn expect_nothing_waiting(operator: &Operator) {
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
    load.wait_for_accepted(5).await;
    for _ in 0..ROUNDS {
        // The second deletion races with the collectors that create the consumer again.
        delete_as_soon_as_it_is_there(&operator).await;
        delete_as_soon_as_it_is_there(&operator).await;
        load.wait_for_accepted(5).await;
        weir.ready().await;
    }
    weir.expect_recovery().await;
    let verification = load.verify(&weir).await;
    assert_eq!((verification.parked, verification.unanswered_requests), (0, 0), "{verification}");
    expect_lost_frames(&weir, &["ingest", "collect-facebook", "collect-facebook-too"], 0).await;
}

/// Deletes the consumer, and retries while it does not exist. While collectors create it again, a server may answer 500
/// (error 10012).
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
