//! Finding events, and erasing a person, on a store that has grown.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde::Deserialize;
use tokio::time::Instant;
use weir_event::Source;

use super::at;
use crate::{
    fleet::Fleet,
    report::{Report, Row, milliseconds},
    statistics::Latencies,
};

const LONGEST_FIND: Duration = Duration::from_millis(50);
const LONGEST_ERASURE: Duration = Duration::from_secs(5);
/// An event of each segment: the oldest rows lie on disk alone, the newest in memory.
const EVENT_OF_EACH_SEGMENT: &str = "SELECT json_build_object('source', found.source, 'event', weir_id(found.event_code), \
    'user', weir_id(found.user_code)) FROM event_segments CROSS JOIN LATERAL \
    (SELECT * FROM events WHERE segment = event_segments.number OFFSET 1000 LIMIT 1) AS found ORDER BY number";

/// An event that is stored.
#[derive(Debug, Deserialize)]
struct StoredEvent {
    source: i32,
    event: String,
    user: String,
}

impl StoredEvent {
    fn source(&self) -> anyhow::Result<&'static str> {
        Ok(Source::from_number(self.source).context("a row has a known source")?.name())
    }
}

/// Looks up an event of every segment, and erases the person of one in the middle.
pub(super) async fn add(fleet: &Fleet, report: &mut Report, size: u64) -> anyhow::Result<()> {
    let events = fleet.query(EVENT_OF_EACH_SEGMENT);
    let events: Vec<StoredEvent> =
        events.lines().map(serde_json::from_str).collect::<Result<_, serde_json::Error>>()?;
    let mut latencies = Vec::new();
    for event in &events {
        let asked = Instant::now();
        let answer = fleet.weir.get(&format!("/events/{}/{}", event.source()?, event.event)).await;
        latencies.push(asked.elapsed());
        ensure!(answer.body["status"] == "stored", "{answer:?}");
    }
    let latencies = Latencies::new(latencies);
    let p95 = latencies.quantile(95);
    report.add(
        Row::new(at(size, "finding an event, p95"), milliseconds(p95))
            .beside(format!(
                "p50 {}, at most {}, an event of each of {} segments",
                milliseconds(latencies.quantile(50)),
                milliseconds(latencies.quantile(100)),
                latencies.count()
            ))
            .bar(format!("< {}", milliseconds(LONGEST_FIND)), p95 < LONGEST_FIND),
    );
    let Some(event) = events.get(events.len() / 2) else { return Ok(()) };
    let asked = Instant::now();
    let (status, output) =
        fleet.weir.run(&["erase", event.source()?, &event.user, "--wait", "10m"], &[]).await;
    let took = asked.elapsed();
    ensure!(status.success(), "{output}");
    report.add(
        Row::new(at(size, "erasing a person"), milliseconds(took))
            .bar(format!("< {}", milliseconds(LONGEST_ERASURE)), took < LONGEST_ERASURE),
    );
    Ok(())
}
