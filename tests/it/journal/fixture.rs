//! Where a promise is tried: a folder or a real server, and events to try it with.

use std::time::Duration;

use chrono::{SubsecRound as _, Utc};
use serde_json::Value;
use tempfile::TempDir;
use weir_event::{Event, Origin, Source, admit_json};
use weir_journal::{Consumer, Content, Delivery, Frame, Framer, Journal, SealedFrame, Settings, Usage};
use weir_process::CorrelationId;
use weir_testkit::{eventually, nats::Nats};

/// How long something may take that is sure to come.
pub(super) const SOON: Duration = Duration::from_secs(20);
const CLOSE_DEADLINE: Duration = Duration::from_secs(10);

/// What a journal stands on; it outlives the journal.
pub(super) enum Ground {
    Embedded(TempDir),
    JetStream(Nats),
}

impl Ground {
    pub(super) async fn embedded() -> Self {
        Self::Embedded(tempfile::tempdir().unwrap())
    }

    pub(super) async fn jetstream() -> Self {
        Self::JetStream(Nats::start().await)
    }

    pub(super) async fn journal(&self, settings: Settings) -> Journal {
        match self {
            Self::Embedded(folder) => Journal::open(folder.path(), settings).await.unwrap(),
            Self::JetStream(nats) => Journal::connect(&nats.servers(), settings, SOON).await.unwrap(),
        }
    }

    /// Closes the journal, and kills the server where there is one.
    pub(super) async fn restart(&mut self, journal: Journal, settings: Settings) -> Journal {
        journal.close(CLOSE_DEADLINE).await;
        if let Self::JetStream(nats) = self {
            nats.kill();
            nats.start_again().await;
        }
        self.journal(settings).await
    }
}

pub(super) fn settings(ack_wait: Duration) -> Settings {
    Settings { ack_wait, ..Settings::default() }
}

pub(super) fn origin() -> Origin {
    Origin {
        correlation_id: CorrelationId::generate(),
        traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned(),
        tracestate: String::new(),
        arrived_at: Utc::now().trunc_subsecs(6),
    }
}

/// `count` events of a source, made of the reference cases, each with an id of its own.
pub(super) fn events(source: Source, count: usize) -> Vec<Event> {
    let lines: Vec<Value> = include_str!("../../events/valid.jsonl")
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["event"].take())
        .filter(|event| event["source"] == source.name())
        .collect();
    (0..count)
        .map(|index| {
            let mut item = lines[index % lines.len()].clone();
            item["eventId"] = Value::from(CorrelationId::generate().as_str());
            admit_json(&item.to_string(), Utc::now()).unwrap()
        })
        .collect()
}

/// One frame of a few events.
pub(super) fn frame(source: Source) -> SealedFrame {
    frames(source, 1).remove(0)
}

pub(super) fn frames(source: Source, count: usize) -> Vec<SealedFrame> {
    (0..count)
        .flat_map(|_| {
            let mut framer = Framer::default();
            for event in events(source, 10) {
                framer.push(event, &origin(), 0);
            }
            framer.finish()
        })
        .collect()
}

/// The next frames until there are `count`.
pub(super) async fn take(consumer: &mut Consumer, count: usize) -> Vec<Delivery> {
    let taking = async {
        let mut deliveries = Vec::new();
        while deliveries.len() < count {
            deliveries.extend(consumer.next(count - deliveries.len(), SOON).await.unwrap());
        }
        deliveries
    };
    tokio::time::timeout(SOON, taking).await.expect("the frames are delivered")
}

pub(super) async fn take_one(consumer: &mut Consumer) -> Delivery {
    take(consumer, 1).await.remove(0)
}

pub(super) fn ids(deliveries: &[Delivery]) -> Vec<String> {
    deliveries.iter().map(|delivery| frame_of(delivery).id.clone()).collect()
}

/// The events that a delivery carries.
pub(super) fn frame_of(delivery: &Delivery) -> &Frame {
    match delivery.content() {
        Ok(Content::Events(frame)) => frame,
        other => panic!("no frame of events: {other:?}"),
    }
}

/// Waits until the journal has made room; a frame may fit before all of it is made.
pub(super) async fn roomy(journal: &Journal) -> Usage {
    eventually(async || {
        let fill = journal.usage().await.unwrap();
        if fill.bytes <= fill.max_bytes / 10 * 8 { Ok(fill) } else { Err(fill) }
    })
    .await
}
