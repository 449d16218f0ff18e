//! The throughput of the same load with more processes.

use super::peak::{median_of, several};
use crate::{
    effort::Effort,
    fleet::{Fleet, Role},
    report::{Report, Row, rate},
};

const EDGE: Role = ("edge", &["edge"]);
const INGEST: Role = ("ingest", &["ingest"]);
const INGEST_TOO: Role = ("ingest-too", &["ingest"]);
const COLLECTOR: Role = ("collect", &["collect", "all"]);
const COLLECTOR_TOO: Role = ("collect-too", &["collect", "all"]);

const LAYOUTS: [(&str, &[Role]); 3] = [
    ("one of each", &[EDGE, INGEST, COLLECTOR]),
    ("two collectors", &[EDGE, INGEST, COLLECTOR, COLLECTOR_TOO]),
    ("two ingests", &[EDGE, INGEST, INGEST_TOO, COLLECTOR]),
];

pub(super) async fn measure(effort: Effort) -> anyhow::Result<Report> {
    let mut report = Report::begin("scale: more processes on the same processors");
    let mut first = None;
    for (name, roles) in LAYOUTS {
        let fleet = Fleet::start(roles).await;
        let peaks = several(&fleet.weir, effort.peak_events(), effort.runs()).await?;
        let stored = median_of(&peaks, |peak| peak.stored);
        let accepted = median_of(&peaks, |peak| peak.accepted);
        let of_first = stored / *first.get_or_insert(stored);
        report.add(
            Row::new(format!("{name}, stored"), rate(stored))
                .beside(format!("× {of_first:.2}, accepted at {}", rate(accepted))),
        );
    }
    report.note("A collector of both sources has two workers for each.");
    Ok(report)
}
