//! The highest throughput, from the first post to the last row.

use std::{net::SocketAddr, time::Duration};

use anyhow::ensure;
use tokio::time::{Instant, sleep};
use weir_testkit::{Storage, Weir};

use crate::{
    effort::Effort,
    fleet::{Fleet, LINE, processed},
    loops::{self, Until},
    report::{Report, Row, rate},
    request_template::RequestTemplate,
    statistics::median,
    usage::{CpuShares, CpuTimes},
};

/// The events of an array, within the range of the reference publisher's.
const SIZE: usize = 10_000;
const CONNECTIONS: usize = 4;
const LEAST_IN_POSTGRES: f64 = 45_000.0;
const LEAST_ON_FILES: f64 = 15_000.0;
/// The divisor of the events on files, where each takes several times as long.
const SHARE_ON_FILES: u64 = 3;

/// The throughput of one run, in events a second.
#[derive(Clone, Debug)]
pub(super) struct Peak {
    /// While the events were posted.
    pub(super) accepted: f64,
    /// From the first post to the last row.
    pub(super) stored: f64,
    pub(super) share: CpuShares,
}

pub(super) async fn measure(effort: Effort) -> anyhow::Result<Report> {
    let mut report = Report::begin("peak: from the first post to the last row");
    let fleet = Fleet::start(LINE).await;
    let peaks = several(&fleet.weir, effort.peak_events(), effort.runs()).await?;
    add(&mut report, "JetStream and PostgreSQL", &peaks, LEAST_IN_POSTGRES);
    drop(fleet);
    let weir = Weir::up_with(Storage::Files, Vec::new()).await;
    let peaks = several(&weir, effort.peak_events() / SHARE_ON_FILES, effort.runs()).await?;
    add(&mut report, "`weir up` on files", &peaks, LEAST_ON_FILES);
    report.note("Arrays of 10,000 over four connections; both halves of the work share the processors.");
    Ok(report)
}

/// Makes so many runs, each on the rows of those before it.
pub(super) async fn several(weir: &Weir, events: u64, runs: usize) -> anyhow::Result<Vec<Peak>> {
    let mut peaks = Vec::new();
    for run in 0..runs {
        peaks.push(once(weir, events, run as u64).await?);
    }
    Ok(peaks)
}

/// The median of one figure.
pub(super) fn median_of(peaks: &[Peak], figure: impl Fn(&Peak) -> f64) -> f64 {
    median(peaks.iter().map(figure).collect())
}

fn add(report: &mut Report, ground: &str, peaks: &[Peak], least: f64) {
    let stored = median_of(peaks, |peak| peak.stored);
    let accepted = median_of(peaks, |peak| peak.accepted);
    report.add(
        Row::new(format!("{ground}, stored"), rate(stored))
            .beside(format!("accepted at {}", rate(accepted)))
            .bar(format!("≥ {}", rate(least)), stored >= least),
    );
    if let Some(peak) = peaks.last() {
        report.note(format!("Processors, {ground}: {}.", peak.share));
    }
}

async fn once(weir: &Weir, events: u64, run: u64) -> anyhow::Result<Peak> {
    let edge: SocketAddr = weir.addresses.edge;
    let mut templates = RequestTemplate::arrays(edge, CONNECTIONS, SIZE, run);
    let stored_before = processed(weir).await;
    let (before, started) = (CpuTimes::now(), Instant::now());
    let reached = loops::closed(edge, &mut templates, Until::Events(events)).await?;
    stored(weir, stored_before + reached.events as f64).await?;
    let stored = reached.events as f64 / started.elapsed().as_secs_f64();
    Ok(Peak { accepted: reached.per_second(), stored, share: before.since() })
}

/// Waits until so many events are stored.
pub(super) async fn stored(weir: &Weir, goal: f64) -> anyhow::Result<()> {
    const TIMEOUT: Duration = Duration::from_secs(300);
    /// Short compared with a run of seconds, and long compared with a scrape of a few processes.
    const PAUSE: Duration = Duration::from_millis(50);
    let deadline = Instant::now() + TIMEOUT;
    while processed(weir).await < goal {
        ensure!(Instant::now() < deadline, "not stored within {TIMEOUT:?}");
        sleep(PAUSE).await;
    }
    Ok(())
}
