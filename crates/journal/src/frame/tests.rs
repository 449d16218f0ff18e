//! Tests of frames: their limits, order, ids and versions.

use bytes::Bytes;
use chrono::{SubsecRound as _, Utc};
use prost::Message as _;
use serde_json::Value;
use weir::contract::event::v1;
use weir_event::{Event, Origin, Source, Violation, admit_json};
use weir_process::CorrelationId;

use super::{version::ERASURE_VERSION, *};

/// The reference events, repeated without end, each with a new id.
fn events() -> impl Iterator<Item = Event> {
    let lines: Vec<Value> = include_str!("../../../../tests/events/valid.jsonl")
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["event"].take())
        .collect();
    (0..).map(move |index| {
        let mut item = lines[index % lines.len()].clone();
        item["eventId"] = Value::from(format!("event-{index}"));
        admit_json(&item.to_string(), Utc::now()).unwrap()
    })
}

fn origin() -> Origin {
    Origin {
        correlation_id: CorrelationId::generate(),
        traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned(),
        tracestate: String::new(),
        arrived_at: Utc::now().trunc_subsecs(6),
    }
}

fn frames(sealed: &[SealedFrame]) -> Vec<Frame> {
    let decoded = sealed.iter().map(|frame| match Content::decode(frame.payload()) {
        Ok(Content::Events(frame)) => frame,
        other => panic!("{other:?}"),
    });
    decoded.collect()
}

#[test]
fn frames_carry_the_pushed_events_in_order_and_by_source() {
    let pushed: Vec<Event> = events().take(2000).collect();
    let origin = origin();
    let mut framer = Framer::default();
    for event in pushed.clone() {
        framer.push(event, &origin, 1);
    }
    let sealed = framer.finish();
    let frames = frames(&sealed);
    for source in Source::ALL {
        let read: Vec<&Event> = frames
            .iter()
            .filter(|frame| frame.source == *source)
            .flat_map(|frame| frame.events.iter().map(|framed| &framed.event))
            .collect();
        let sent: Vec<&Event> = pushed.iter().filter(|event| event.source() == *source).collect();
        assert_eq!(read, sent);
    }
    for (sealed, frame) in sealed.iter().zip(&frames) {
        assert!(frame.events.len() <= MAX_FRAME_EVENTS && sealed.payload().len() <= MAX_FRAME_BYTES);
        assert_eq!((sealed.id(), sealed.accepted()), (frame.id.as_str(), frame.accepted()));
        assert_eq!(frame.origins, std::slice::from_ref(&origin));
        assert_eq!(sealed.origins(), frame.origins);
    }
    assert_eq!(frames.iter().map(Frame::accepted).sum::<u64>(), 4000);
}

#[test]
fn a_frame_with_an_origin_for_every_event_stays_within_its_bytes() {
    let mut framer = Framer::default();
    for event in events().take(1500) {
        let mut origin = origin();
        origin.tracestate = "x".repeat(512);
        framer.push(event, &origin, 0);
    }
    let sealed = framer.finish();
    assert!(sealed.iter().all(|frame| frame.payload().len() <= MAX_FRAME_BYTES));
    for frame in frames(&sealed) {
        assert_eq!(frame.origins.len(), frame.events.len());
        assert!(frame.events.iter().enumerate().all(|(index, framed)| framed.origin == index));
    }
}

#[test]
fn a_newer_version_is_no_malformed_frame() {
    let empty = |version| SealedFrame::of_version(version, Source::Tiktok, origin());
    assert_eq!(Content::decode(empty(3).payload()), Err(FrameError::Newer(3)));
    assert_eq!(Content::decode(empty(4).payload()), Err(FrameError::TooNew(4)));
    let empty = [1, 2].map(|version| empty(version).payload().clone());
    for bytes in [&b""[..], b"\xff\xff", &empty[0], &empty[1]] {
        assert!(matches!(Content::decode(&Bytes::copy_from_slice(bytes)), Err(FrameError::Malformed(_))));
    }
}

#[test]
fn an_erasure_reads_back_as_it_was_written_and_its_debug_text_has_no_person() {
    let erasure = Erasure::new(Source::Facebook, "u-17".to_owned(), true, origin());
    let sealed = erasure.seal();
    assert_eq!((sealed.id(), sealed.version(), sealed.accepted()), (&*erasure.id, ERASURE_VERSION, 0));
    assert!(!format!("{erasure:?}").contains("u-17"));
    assert_eq!(Content::decode(sealed.payload()), Ok(Content::Erasure(erasure)));
}

#[test]
fn the_dead_letter_of_an_event_holds_the_whole_event() {
    let mut framer = Framer::default();
    let origin = origin();
    let event = events().next().unwrap();
    framer.push(event.clone(), &origin, 0);
    let letter = frames(&framer.finish())[0].dead_letter(0, "value too long");
    assert_eq!(letter.violations, [Violation::new("", "value too long")]);
    assert_eq!((letter.event_id.as_deref(), letter.origin), (Some(event.id()), origin));
    assert_eq!(v1::Event::decode(letter.raw).unwrap(), v1::Event::from(event));
}

#[test]
fn only_a_repeated_call_makes_frames_with_the_same_ids() {
    let pushed: Vec<Event> = events().take(1200).collect();
    let ids = |publish_id: Option<&str>, events: &[Event], repeats| -> Vec<String> {
        let mut framer = Framer::new(publish_id.map(str::to_owned));
        let origin = origin();
        events.iter().for_each(|event| framer.push(event.clone(), &origin, repeats));
        framer.finish().iter().map(|frame| frame.id().to_owned()).collect()
    };
    let first = ids(Some("call"), &pushed, 0);
    assert_eq!(first, ids(Some("call"), &pushed, 0));
    let all_differ = |others: Vec<String>| others.iter().all(|id| !first.contains(id));
    assert!(all_differ(ids(Some("another call"), &pushed, 0)));
    assert!(all_differ(ids(Some("call"), &pushed, 1)));
    assert!(all_differ(ids(Some("call"), &pushed[..100], 0)));
    assert_ne!(ids(None, &pushed, 0), ids(None, &pushed, 0));
}

#[test]
fn frames_stay_within_the_limit_of_a_journal() {
    let limit = FrameLimit { bytes: 4096 };
    let mut framer = Framer::default().with_limit(limit);
    let origin = origin();
    for event in events().take(100) {
        framer.push(event, &origin, 0);
    }
    let frames = framer.finish();
    assert!(frames.len() > 1);
    assert!(frames.iter().all(|frame| frame.payload().len() <= limit.bytes));
    assert_eq!(frames.iter().map(SealedFrame::accepted).sum::<u64>(), 100);
}
