//! The fixture of a story: a folder or a real server, and frames of test events.

use std::time::Duration;

use chrono::{SubsecRound as _, Utc};
use serde_json::Value;
use tempfile::TempDir;
use weir_event::{Event, Origin, Source, admit_json};
use weir_journal::{Consumer, Content, Delivery, Frame, Framer, Journal, SealedFrame, Settings, Usage};
use weir_process::CorrelationId;
use weir_testkit::{eventually, nats::Nats};

/// Timeout of a result that must come.
pub(super) const SOON: Duration = Duration::from_secs(20);
const CLOSE_DEADLINE: Duration = Duration::from_secs(10);

/// The folder or server of a journal. It outlives the journal.
pub(super) enum Fixture {
    Embedded(TempDir),
    JetStream(Nats),
}

impl Fixture {
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

    /// Closes the journal, restarts its server if it has one, and opens the journal again.
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

/// `count` events of a source, from the reference events, each with a new id.
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

/// One frame of ten events.
pub(super) fn frame(source: Source) -> SealedFrame {
    frames(source, 1).remove(0)
}

/// `count` frames of ten events each.
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

/// Receives `count` frames.
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

/// The frame of events in a delivery.
pub(super) fn frame_of(delivery: &Delivery) -> &Frame {
    match delivery.content() {
        Ok(Content::Events(frame)) => frame,
        other => panic!("no frame of events: {other:?}"),
    }
}

/// Waits until the journal has purged frames. An append may fit before the purge has ended.
pub(super) async fn usage_after_purge(journal: &Journal) -> Usage {
    eventually(async || {
        let usage = journal.usage().await.unwrap();
        if usage.bytes <= usage.max_bytes / 10 * 8 { Ok(usage) } else { Err(usage) }
    })
    .await
}
