//! Stories of the journal on a server alone: subjects and headers, streams and consumers, and restarts of the server.

use std::time::{Duration, Instant};

use async_nats::jetstream::{self, Context, stream};
use weir_event::Source;
use weir_journal::{
    AppendError, Content, Erasure, FrameError, Journal, JournalError, Names, Ownership, Settings,
};
use weir_testkit::nats::Nats;

use super::fixture::{SOON, frame, ids, origin, settings, take, take_one};

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(500);

async fn connect(nats: &Nats) -> Journal {
    Journal::connect(&nats.servers(), settings(LONG), SOON).await.unwrap()
}

/// An operator's connection to the same server.
async fn operator(nats: &Nats) -> Context {
    jetstream::new(async_nats::connect(nats.url()).await.unwrap())
}

#[tokio::test]
async fn the_message_of_a_frame_carries_its_id_and_its_origin() {
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
async fn a_frame_that_this_build_can_t_read_is_delivered() {
    let nats = Nats::start().await;
    let journal = connect(&nats).await;
    let operator = operator(&nats).await;
    // Version 3 in field 1, then version 4, then bytes that are no message.
    for payload in [&b"\x08\x03"[..], b"\x08\x04", b"\xff"] {
        operator.publish("events.facebook", payload.into()).await.unwrap().await.unwrap();
    }
    let deliveries = take(&mut journal.consumer(Source::Facebook).await.unwrap(), 3).await;
    assert_eq!(deliveries[0].content(), Err(&FrameError::Newer(3)));
    assert_eq!(deliveries[1].content(), Err(&FrameError::TooNew(4)));
    assert!(matches!(deliveries[2].content(), Err(FrameError::Malformed(_))));
    assert_eq!(deliveries[2].raw().as_ref(), b"\xff");
}

#[tokio::test]
async fn streams_and_consumers_have_the_settings_of_the_protocol() {
    let nats = Nats::start().await;
    connect(&nats).await;
    let operator = operator(&nats).await;
    let days = |days: u64| Duration::from_secs(days * 24 * 60 * 60);
    let subjects = ["events.facebook", "events.tiktok", "erasures.facebook", "erasures.tiktok"];
    let expected = [
        // A maximum age would remove unacknowledged frames.
        ("EVENTS", subjects.to_vec(), Duration::ZERO, 8 << 30, stream::DiscardPolicy::New),
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
    assert_eq!(config.filter_subjects, ["events.facebook", "erasures.facebook"]);
    assert_eq!(config.max_deliver, -1);
    assert_eq!((config.ack_wait, config.ack_policy), (LONG, jetstream::consumer::AckPolicy::Explicit));
}

/// A stream with default settings and without Weir's mark.
fn unmarked(name: &str, subject: &str) -> stream::Config {
    stream::Config { name: name.to_owned(), subjects: vec![subject.to_owned()], ..stream::Config::default() }
}

#[tokio::test]
async fn a_stream_with_weir_s_subjects_is_adopted_and_another_one_is_refused() {
    let nats = Nats::start().await;
    let operator = operator(&nats).await;
    let small = stream::Config { max_bytes: 1 << 20, ..unmarked("REJECTED", "rejected.>") };
    operator.create_stream(small).await.unwrap();
    connect(&nats).await;
    let adopted = operator.get_stream("REJECTED").await.unwrap().cached_info().config.clone();
    assert_eq!((adopted.max_bytes, adopted.discard), (1 << 30, stream::DiscardPolicy::Old));
    assert!(adopted.metadata.contains_key("weir.journal"), "{:?}", adopted.metadata);

    let memory =
        stream::Config { storage: stream::StorageType::Memory, ..unmarked("REJECTED", "rejected.>") };
    for (foreign, text) in
        [(memory, "storage is Memory instead of File"), (unmarked("REJECTED", "orders.>"), "orders.>")]
    {
        operator.delete_stream("REJECTED").await.unwrap();
        operator.create_stream(foreign.clone()).await.unwrap();
        let refusal = Journal::connect(&nats.servers(), settings(LONG), SOON).await.unwrap_err();
        let JournalError::Unusable(reason) = refusal else { panic!("{refusal}") };
        assert!(reason.contains("REJECTED") && reason.contains(text), "{reason}");
        let untouched = operator.get_stream("REJECTED").await.unwrap().cached_info().config.clone();
        assert_eq!((untouched.subjects, untouched.storage), (foreign.subjects, foreign.storage));
    }
}

#[tokio::test]
async fn a_setting_that_an_operator_raised_stays_and_a_lower_one_is_raised() {
    let nats = Nats::start().await;
    connect(&nats).await;
    let operator = operator(&nats).await;
    let mut events = operator.get_stream("EVENTS").await.unwrap().cached_info().config.clone();
    (events.max_bytes, events.max_age) = (16 << 30, Duration::from_secs(7 * 24 * 60 * 60));
    operator.update_stream(&events).await.unwrap();
    let wanted = Settings { max_bytes: 4 << 30, ..settings(SHORT) };
    let journal = Journal::connect(&nats.servers(), wanted, SOON).await.unwrap();
    let events = operator.get_stream("EVENTS").await.unwrap();
    let config = &events.cached_info().config;
    assert_eq!((config.max_bytes, config.max_age), (16 << 30, Duration::ZERO));
    let consumer = events.consumer_info("collector-facebook").await.unwrap().config;
    assert_eq!((consumer.ack_wait, journal.ack_wait()), (LONG, LONG));
    let kept: Vec<String> =
        journal.differing_settings().await.unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(kept.len(), 3, "the bytes, and the deadline of both consumers: {kept:?}");
    assert!(kept[0].contains("JOURNAL_MAX_BYTES") && kept[0].contains("17179869184"), "{kept:?}");
}

#[tokio::test]
async fn a_guest_waits_for_the_owner_changes_no_setting_and_reports_differences() {
    let nats = Nats::start().await;
    let guest = Settings { replicas: 3, ack_wait: LONG, ownership: Ownership::Guest, ..Settings::default() };
    let refusal = Journal::connect(&nats.servers(), guest.clone(), SHORT).await.unwrap_err();
    assert!(
        matches!(&refusal, JournalError::Unreachable(reason) if reason.contains("ingest makes it")),
        "{refusal}"
    );
    let owner = connect(&nats).await;
    let journal = Journal::connect(&nats.servers(), guest, SOON).await.unwrap();
    assert_eq!(journal.ack_wait(), LONG);
    let differences = journal.differing_settings().await.unwrap();
    assert!(differences.iter().all(|found| found.variable == Some("JOURNAL_REPLICAS")), "{differences:?}");
    assert_eq!(differences.len(), 3, "one difference for each stream");
    let frame = frame(Source::Tiktok);
    owner.append(std::slice::from_ref(&frame)).await.unwrap();
    assert_eq!(ids(&take(&mut journal.consumer(Source::Tiktok).await.unwrap(), 1).await), [frame.id()]);
}

#[tokio::test]
async fn deployments_with_different_prefixes_share_a_server() {
    let nats = Nats::start().await;
    let names = Names::with_prefix("acme").unwrap();
    let acme = Journal::connect(&nats.servers(), Settings { names, ..settings(LONG) }, SOON).await.unwrap();
    let plain = connect(&nats).await;
    let (one, other) = (frame(Source::Facebook), frame(Source::Facebook));
    acme.append(std::slice::from_ref(&one)).await.unwrap();
    plain.append(std::slice::from_ref(&other)).await.unwrap();
    assert_eq!(ids(&take(&mut acme.consumer(Source::Facebook).await.unwrap(), 1).await), [one.id()]);
    assert_eq!(ids(&take(&mut plain.consumer(Source::Facebook).await.unwrap(), 1).await), [other.id()]);
    let stream = operator(&nats).await.get_stream("acme_EVENTS").await.unwrap();
    stream.consumer_info("acme-collector-facebook").await.unwrap();
    assert_eq!(stream.cached_info().config.subjects[0], "acme.events.facebook");
}

#[tokio::test]
async fn an_erasure_has_a_subject_of_its_own_and_is_also_read_from_the_old_one() {
    let nats = Nats::start().await;
    let journal = connect(&nats).await;
    let erasure = Erasure::new(Source::Facebook, "u-17".to_owned(), false, origin());
    journal.append(&[erasure.seal()]).await.unwrap();
    let operator = operator(&nats).await;
    let message = operator.get_stream("EVENTS").await.unwrap().get_raw_message(1).await.unwrap();
    assert_eq!(message.subject.as_str(), "erasures.facebook");
    // An earlier build publishes erasures under the subject of events.
    operator.publish("events.facebook", message.payload).await.unwrap().await.unwrap();
    let deliveries = take(&mut journal.consumer(Source::Facebook).await.unwrap(), 2).await;
    assert!(deliveries.iter().all(|delivery| delivery.content() == Ok(&Content::Erasure(erasure.clone()))));
}

#[tokio::test]
async fn a_vanished_consumer_is_created_anew() {
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
async fn a_removed_consumer_begins_anew_and_is_offered_what_was_acknowledged() {
    let nats = Nats::start().await;
    let journal = connect(&nats).await;
    let frame = frame(Source::Facebook);
    journal.append(std::slice::from_ref(&frame)).await.unwrap();
    let events = operator(&nats).await.get_stream("EVENTS").await.unwrap();
    let mut consumer = journal.consumer(Source::Facebook).await.unwrap();
    take_one(&mut consumer).await.ack().await.unwrap();
    for _ in 0..5 {
        let removal = async {
            // Until then the server has the acknowledgement on its disk, and a pull waits.
            tokio::time::sleep(Duration::from_secs(2)).await;
            events.delete_consumer("collector-facebook").await.unwrap();
        };
        let (offered, ()) = tokio::join!(take_one(&mut consumer), removal);
        offered.ack().await.unwrap();
    }
}

#[tokio::test]
async fn a_vanished_stream_is_created_anew() {
    let nats = Nats::start().await;
    let journal = connect(&nats).await;
    let mut consumer = journal.consumer(Source::Facebook).await.unwrap();
    operator(&nats).await.delete_stream("EVENTS").await.unwrap();
    let frame = frame(Source::Facebook);
    journal.append(std::slice::from_ref(&frame)).await.unwrap();
    assert_eq!(ids(&take(&mut consumer, 1).await), [frame.id()]);
}

#[tokio::test]
async fn an_append_succeeds_after_a_short_outage_of_the_server() {
    let mut nats = Nats::start().await;
    let journal = connect(&nats).await;
    let mut consumer = journal.consumer(Source::Tiktok).await.unwrap();
    nats.kill();
    let frame = frame(Source::Tiktok);
    let (appended, ()) = tokio::join!(journal.append(std::slice::from_ref(&frame)), nats.start_again());
    appended.unwrap();
    assert_eq!(ids(&take(&mut consumer, 1).await), [frame.id()]);
    assert_eq!(journal.usage().await.unwrap().frames, 1);
}

#[tokio::test]
async fn every_call_returns_while_the_server_is_down() {
    let mut nats = Nats::start().await;
    let journal = connect(&nats).await;
    journal.append(&[frame(Source::Tiktok), frame(Source::Tiktok)]).await.unwrap();
    let mut consumer = journal.consumer(Source::Tiktok).await.unwrap();
    let delivery = take_one(&mut consumer).await;
    nats.kill();
    let started = Instant::now();
    let refused = journal.append(&[frame(Source::Tiktok)]).await;
    assert!(matches!(refused, Err(AppendError::Unreachable(_))), "{refused:?}");
    delivery.ack().await.unwrap_err();
    consumer.next(1, SHORT).await.unwrap_err();
    consumer.backlog().await.unwrap_err();
    journal.usage().await.unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    nats.start_again().await;
    take_one(&mut consumer).await.ack().await.unwrap();
    journal.append(&[frame(Source::Tiktok)]).await.unwrap();
}

#[tokio::test]
async fn connecting_waits_for_a_server_up_to_its_timeout() {
    let mut nats = Nats::start().await;
    nats.kill();
    let refusal = Journal::connect(&nats.servers(), settings(LONG), SHORT).await.unwrap_err();
    assert!(matches!(refusal, JournalError::Unreachable(_)), "{refusal}");
    let servers = nats.servers();
    let (journal, ()) = tokio::join!(Journal::connect(&servers, settings(LONG), SOON), nats.start_again());
    journal.unwrap().append(&[frame(Source::Tiktok)]).await.unwrap();
}
