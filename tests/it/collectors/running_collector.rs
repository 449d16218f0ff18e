//! A running collector role, and the steps of a story around it.

use std::{ops::Range, time::Duration};

use prometheus_client::registry::Registry;
use sea_orm::DatabaseConnection;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use weir_collectors::{Collector, CollectorMetrics, CollectorSettings, Retention};
use weir_event::{EventMetrics, Source};
use weir_journal::{Framer, Journal, LostFrameMetrics, Settings};
use weir_process::{RoleReadiness, Stop, clock::ClockMetrics};
use weir_testkit::{
    events::{admit, origin, with_id},
    eventually::eventually,
};

/// Short, so that a story reaches the end of the wait.
const ACK_WAIT: Duration = Duration::from_secs(1);

/// A collector that runs until `stop`.
pub(super) struct RunningCollector {
    pub(super) readiness: RoleReadiness,
    registry: Registry,
    stop: Stop,
    role: JoinHandle<anyhow::Result<()>>,
}

impl RunningCollector {
    pub(super) fn start(journal: &Journal, store: &DatabaseConnection, sources: &[Source]) -> Self {
        let (readiness, stop) = (RoleReadiness::new("collector"), Stop::new());
        let mut registry = Registry::default();
        let events = EventMetrics::register(&mut registry);
        let (clock, lost) =
            (ClockMetrics::register(&mut registry), LostFrameMetrics::register(&mut registry));
        let metrics = CollectorMetrics::register(&mut registry, events, clock, lost);
        let settings = CollectorSettings { workers: 2, retention: Retention::OFF, failpoint: None };
        let (journal, store) = (journal.clone(), store.clone());
        let collector = Collector::new(sources, journal, store, metrics, &readiness, settings);
        let role = tokio::spawn(collector.run(stop.clone()));
        Self { readiness, registry, stop, role }
    }

    /// Stops the role as its host does, and expects success.
    pub(super) async fn stop(self) {
        self.stop.cancel();
        self.role.await.unwrap().unwrap();
    }

    pub(super) fn metrics(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        text
    }

    /// The value of the series of `name` that has `label`; 0 where there is none yet.
    pub(super) fn count(&self, name: &str, label: &str) -> u64 {
        let metrics = self.metrics();
        let series = metrics.lines().find(|line| line.starts_with(name) && line.contains(label));
        series.and_then(|line| line.rsplit(' ').next()).map_or(0, |value| value.parse().unwrap())
    }
}

/// An embedded journal of its own.
pub(super) async fn journal() -> (Journal, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { ack_wait: ACK_WAIT, ..Settings::default() };
    (Journal::open(folder.path(), settings).await.unwrap(), folder)
}

/// Appends events whose ids are numbers of five digits.
pub(super) async fn append(journal: &Journal, source: Source, ids: Range<usize>) {
    let mut framer = Framer::default();
    let origin = origin();
    for id in ids {
        framer.push(admit(&with_id(source, &format!("{id:05}"))), &origin, 0);
    }
    journal.append(&framer.finish()).await.unwrap();
}

/// Returns when every frame of every source is acknowledged.
pub(super) async fn settled(journal: &Journal) {
    for source in Source::ALL {
        eventually(async || {
            let backlog = journal.consumer(*source).await.unwrap().backlog().await.unwrap();
            if backlog.waiting + backlog.in_flight == 0 { Ok(()) } else { Err(backlog) }
        })
        .await;
    }
}
