//! What only the journal on a server can be asked: the wire, set-up, and servers that come and go.

use std::time::{Duration, Instant};

use async_nats::jetstream::{self, Context, stream};
use weir::{
    event::Source,
    journal::{AppendError, FrameError, Journal, JournalError},
};

use super::ground::{SOON, frame, ids, settings, take, take_one};
use crate::harness::nats::Nats;

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(500);

async fn connect(nats: &Nats) -> Journal {
    Journal::connect(&nats.url(), settings(LONG), SOON).await.unwrap()
}

/// An operator's connection to the same server.
async fn operator(nats: &Nats) -> Context {
    jetstream::new(async_nats::connect(nats.url()).await.unwrap())
}

#[tokio::test]
async fn a_frame_s_message_carries_its_id_and_its_origin() {
    let nats = Nats::start().await;
    let frame = frame(Source::Tiktok);
    connect(&nats).await.append(std::slice::from_ref(&frame)).await.unwrap();
    let message = operator(&nats).await.get_stream("EVENTS").await.unwrap().get_raw_message(1).await.unwrap();
    let header = |name: &str| message.headers.get(name).unwrap().as_str().to_owned();
    assert_eq!(message.subject.as_str(), "events.tiktok");
    assert_eq!(header("Nats-Msg-Id"), frame.id());
    assert_eq!(header("x-correlation-id"), frame.origins()[0].correlation_id.as_str());
    assert_eq!(header("traceparent"), frame.origins()[0].traceparent);
    assert_eq!(header("weir-frame-version"), "1");
}

#[tokio::test]
async fn a_frame_that_this_build_can_t_read_is_offered_all_the_same() {
    let nats = Nats::start().await;
    let journal = connect(&nats).await;
    let operator = operator(&nats).await;
    // Field 1, the version, is 3; and no message at all.
    for payload in [&b"\x08\x03"[..], b"\xff"] {
        operator.publish("events.facebook", payload.into()).await.unwrap().await.unwrap();
    }
    let deliveries = take(&mut journal.consumer(Source::Facebook).await.unwrap(), 2).await;
    assert_eq!(deliveries[0].content(), Err(&FrameError::Newer(3)));
    assert!(matches!(deliveries[1].content(), Err(FrameError::Malformed(_))));
    assert_eq!(deliveries[1].raw(), b"\xff");
}

#[tokio::test]
async fn streams_are_those_of_the_wire() {
    let nats = Nats::start().await;
    connect(&nats).await;
    let operator = operator(&nats).await;
    let days = |days: u64| Duration::from_secs(days * 24 * 60 * 60);
    let expected = [
        ("EVENTS", vec!["events.facebook", "events.tiktok"], days(7), 8 << 30, stream::DiscardPolicy::New),
        ("DEAD_LETTERS", vec!["dead.>"], days(30), 1 << 30, stream::DiscardPolicy::New),
        ("REJECTED", vec!["rejected.>"], days(30), 1 << 30, stream::DiscardPolicy::Old),
    ];
    for (name, subjects, max_age, max_bytes, discard) in expected {
        let config = operator.get_stream(name).await.unwrap().cached_info().config.clone();
        assert_eq!(config.subjects, subjects);
        assert_eq!((config.max_age, config.max_bytes, config.discard), (max_age, max_bytes, discard));
        assert_eq!(
            (config.storage, config.duplicate_window),
            (stream::StorageType::File, Duration::from_secs(120))
        );
    }
    let events = operator.get_stream("EVENTS").await.unwrap();
    let config = events.consumer_info("collector-facebook").await.unwrap().config;
    assert_eq!((config.filter_subject.as_str(), config.max_deliver), ("events.facebook", -1));
    assert_eq!((config.ack_wait, config.ack_policy), (LONG, jetstream::consumer::AckPolicy::Explicit));
}

#[tokio::test]
async fn a_stream_that_can_be_changed_is_changed_and_another_is_named() {
    let nats = Nats::start().await;
    let operator = operator(&nats).await;
    let other = |name: &str, storage| stream::Config {
        name: name.to_owned(),
        subjects: vec!["rejected.>".to_owned()],
        storage,
        ..stream::Config::default()
    };
    operator.create_stream(other("REJECTED", stream::StorageType::File)).await.unwrap();
    connect(&nats).await;
    let changed = operator.get_stream("REJECTED").await.unwrap().cached_info().config.clone();
    assert_eq!(changed.max_bytes, 1 << 30);
    operator.delete_stream("REJECTED").await.unwrap();
    operator.create_stream(other("REJECTED", stream::StorageType::Memory)).await.unwrap();
    let refusal = Journal::connect(&nats.url(), settings(LONG), SOON).await.unwrap_err();
    let JournalError::Unusable(reason) = refusal else { panic!("{refusal}") };
    assert!(reason.contains("REJECTED") && reason.contains("storage is Memory instead of File"), "{reason}");
}

#[tokio::test]
async fn a_vanished_consumer_is_made_anew() {
    let nats = Nats::start().await;
    let journal = connect(&nats).await;
    let mut consumer = journal.consumer(Source::Facebook).await.unwrap();
    let events = operator(&nats).await.get_stream("EVENTS").await.unwrap();
    events.delete_consumer("collector-facebook").await.unwrap();
    let frame = frame(Source::Facebook);
    journal.append(std::slice::from_ref(&frame)).await.unwrap();
    assert_eq!(ids(&take(&mut consumer, 1).await), [frame.id()]);
}

#[tokio::test]
async fn a_vanished_stream_is_made_anew() {
    let nats = Nats::start().await;
    let journal = connect(&nats).await;
    let mut consumer = journal.consumer(Source::Facebook).await.unwrap();
    operator(&nats).await.delete_stream("EVENTS").await.unwrap();
    let frame = frame(Source::Facebook);
    journal.append(std::slice::from_ref(&frame)).await.unwrap();
    assert_eq!(ids(&take(&mut consumer, 1).await), [frame.id()]);
}

#[tokio::test]
async fn an_append_outlives_a_short_absence_of_the_server() {
    let mut nats = Nats::start().await;
    let journal = connect(&nats).await;
    let mut consumer = journal.consumer(Source::Tiktok).await.unwrap();
    nats.kill();
    let frame = frame(Source::Tiktok);
    let (appended, ()) = tokio::join!(journal.append(std::slice::from_ref(&frame)), nats.start_again());
    appended.unwrap();
    assert_eq!(ids(&take(&mut consumer, 1).await), [frame.id()]);
    assert_eq!(journal.fill().await.unwrap().frames, 1);
}

#[tokio::test]
async fn nothing_hangs_while_the_server_is_away() {
    let mut nats = Nats::start().await;
    let journal = connect(&nats).await;
    journal.append(&[frame(Source::Tiktok), frame(Source::Tiktok)]).await.unwrap();
    let mut consumer = journal.consumer(Source::Tiktok).await.unwrap();
    let held = take_one(&mut consumer).await;
    nats.kill();
    let started = Instant::now();
    let refused = journal.append(&[frame(Source::Tiktok)]).await;
    assert!(matches!(refused, Err(AppendError::Unreachable(_))), "{refused:?}");
    held.ack().await.unwrap_err();
    consumer.next(1, SHORT).await.unwrap_err();
    consumer.backlog().await.unwrap_err();
    journal.fill().await.unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    nats.start_again().await;
    take_one(&mut consumer).await.ack().await.unwrap();
    journal.append(&[frame(Source::Tiktok)]).await.unwrap();
}

#[tokio::test]
async fn connecting_waits_for_a_server_and_not_for_ever() {
    let mut nats = Nats::start().await;
    nats.kill();
    let refusal = Journal::connect(&nats.url(), settings(LONG), SHORT).await.unwrap_err();
    assert!(matches!(refusal, JournalError::Unreachable(_)), "{refusal}");
    let url = nats.url();
    let (journal, ()) = tokio::join!(Journal::connect(&url, settings(LONG), SOON), nats.start_again());
    journal.unwrap().append(&[frame(Source::Tiktok)]).await.unwrap();
}
