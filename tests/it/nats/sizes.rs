//! Size limits of a NATS server and its streams: frames and dead letters fit them.

use reqwest::StatusCode;
use serde_json::{Value, json};
use weir_journal::DeadLetterStream;
use weir_testkit::nats::Operator;

use super::*;

const KIB: usize = 1024;

/// A valid event with a JSON of about so many bytes. Protobuf makes none of them shorter.
fn large(id: &str, bytes: usize) -> Value {
    let mut event = with_id(Source::Facebook, id);
    // Unknown keys are no part of the event, so only its texts make it large. Each has at most 256 characters of at
    // most four bytes.
    let long = "\u{1F30A}".repeat(256.min(bytes / 4));
    event["data"]["user"]["name"] = json!(long);
    event
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_takes_less_than_64_kib_is_refused_with_both_numbers() {
    let nats = Nats::configured("", "max_payload: 16KB").await;
    let weir = ingest(nats, vec![]).await;
    expect_reported_at_once(&weir, "ingest", &["16384", "65536", "max_payload"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_fit_the_smallest_payload_limit_of_a_server() {
    let weir = up(Nats::configured("", "max_payload: 64KB").await, vec![]).await;
    takes_a_large_array(&weir, "of-the-server").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_fit_the_stream_s_message_size_even_when_it_changes_while_weir_runs() {
    let weir = up(Nats::start().await, vec![]).await;
    takes_a_large_array(&weir, "before").await;
    let operator = weir.operator().await;
    for stream in ["EVENTS", "DEAD_LETTERS", "REJECTED"] {
        let mut config = operator.settings(stream).await;
        config.max_message_size = 64 * 1024;
        operator.context.update_stream(config).await.unwrap();
    }
    takes_a_large_array(&weir, "after").await;
    assert_eq!(operator.settings("EVENTS").await.max_message_size, 64 * 1024);
    let sizes = largest_frame(&operator).await;
    assert!(sizes > 32 * KIB, "frames are smaller than necessary: {sizes}");
}

/// The size in bytes of the largest of the last four frames.
async fn largest_frame(operator: &Operator) -> usize {
    let events = operator.context.get_stream("EVENTS").await.unwrap();
    let last = operator.stream("EVENTS").await.unwrap().state.last_sequence;
    let mut largest = 0;
    for sequence in (last - 3)..=last {
        largest = largest.max(events.get_raw_message(sequence).await.unwrap().payload.len());
    }
    largest
}

/// Posts 400 events of about a kilobyte each, and waits until they are stored.
async fn takes_a_large_array(weir: &Weir, prefix: &str) {
    let events: Vec<Value> = (0..400).map(|index| large(&format!("{prefix}-{index}"), KIB)).collect();
    eventually(async || {
        let answer = weir.post(&json!(events)).await;
        if answer.status == StatusCode::ACCEPTED && answer.body["accepted"] == 400 {
            Ok(())
        } else {
            Err(format!("{answer:?}"))
        }
    })
    .await;
    let store = weir.store().await;
    eventually(async || {
        let stored = stored_events(&store).await;
        let stored = stored.iter().filter(|event| event.event_id.starts_with(prefix)).count();
        if stored == 400 { Ok(()) } else { Err(format!("{stored} are stored")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_item_that_is_larger_than_the_server_takes_leaves_its_neighbours_alone() {
    let mut weir = up(Nats::configured("", "max_payload: 64KB").await, vec![]).await;
    let mut bad = with_id(Source::Facebook, "bad");
    bad["timestamp"] = json!("x".repeat(100_000));
    let answer = weir.post(&json!([with_id(Source::Facebook, "good"), bad])).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{answer:?}");
    assert_eq!((&answer.body["accepted"], &answer.body["rejected"]), (&json!(1), &json!(1)));
    expect_stored(&weir, "good").await;
    let letters = weir.rejected().await;
    let letter = &letters[0].letter;
    assert!(letters.len() == 1 && letter.is_truncated() && letter.size > 100_000, "{letter:?}");
    assert_eq!(letter.event_id.as_deref(), Some("bad"));
    let (status, output) =
        weir.run(&["dead-letters", "list", "--graveyard", DeadLetterStream::Rejected.name()], &[]).await;
    assert!(status.success() && output.contains("/timestamp"), "{output}");
}
