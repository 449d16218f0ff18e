//! The reference publisher's mean for minutes, on the whole fleet, while clients request reports.

pub(super) mod freshness;
mod report_load;

use std::time::Duration;

use chrono::TimeDelta;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::{
    dataset::{self, Dataset},
    effort::Effort,
    fleet::{self, FLEET, Fleet},
    report::{Report, Row, grouped, mebibytes, milliseconds},
    statistics::{Latencies, median},
    usage::CpuTimes,
    usage::Memory,
};
use report_load::ReportLatencies;
use weir_testkit::{events::Generator, process::Process};

/// The interval in milliseconds between two posts of 1,000 to 50,000 events. It makes 27,500 events a second, the mean
/// of the publisher's own 25 to 30 thousand.
const INTERVAL_MS: &str = "927";
const LONGEST_BEHIND: Duration = Duration::from_secs(2);
/// The bar of the reports: so many times the latency of a quiet system.
const MOST_SLOWDOWN: f64 = 2.0;
/// The least duration of the report requests before the load.
const QUIET: Duration = Duration::from_secs(10);
/// The duration of requests that are not measured, because the first answers fill caches.
const WARMING: Duration = Duration::from_secs(2);
/// The events of the week before the load, which the reports cover.
const STORED_BEFORE: u64 = 300_000;

pub(super) async fn measure(effort: Effort) -> anyhow::Result<Report> {
    let mut report = Report::begin("mean: 27,500 events a second on the whole fleet");
    let mut fleet = prepare().await?;
    report_load::measure(&fleet.weir, WARMING).await?;
    let quiet = measurements(&fleet, 2001, QUIET.max(effort.mean() / 5)).await;
    let before = CpuTimes::now();
    let mut publisher = publish(&fleet, effort.mean());
    let Measurements { lags, reports, behind } = measurements(&fleet, 2002, effort.mean()).await;
    let share = before.since();
    let status = publisher.ended().await;
    add_lag(&mut report, &lags);
    add_freshness(&mut report, &behind?);
    add_reports(&mut report, &quiet.reports?, &reports?);
    for (role, _) in FLEET {
        let Memory { now, peak } = Memory::of(fleet.weir.id_of(role))?;
        report.add(
            Row::new(format!("{role}, memory"), mebibytes(now)).beside(format!("peak {}", mebibytes(peak))),
        );
    }
    report.note(format!("The publisher ended with {status}: {}.", summary(&publisher)));
    report.note(format!("Processors: {share}."));
    Ok(report)
}

/// The measurements of the fleet: its lag, the latency of reports, and their freshness. All of them run before the load
/// too, so that the load is the only difference.
struct Measurements {
    lags: Vec<f64>,
    reports: anyhow::Result<Vec<ReportLatencies>>,
    behind: anyhow::Result<Latencies>,
}

/// Measures for this duration. `year` is a year without events.
async fn measurements(fleet: &Fleet, year: i32, duration: Duration) -> Measurements {
    let (lags, reports, behind) = tokio::join!(
        lags(fleet, duration),
        report_load::measure(&fleet.weir, duration),
        freshness::measure(&fleet.weir, year, duration),
    );
    Measurements { lags, reports, behind }
}

/// The fleet on a store with a week of events.
async fn prepare() -> anyhow::Result<Fleet> {
    let postgres = fleet::database().await;
    let database_url = postgres.fresh_database_url().await;
    let database = dataset::migrated(&database_url.parse()?).await?;
    let span = TimeDelta::days(report_load::DAYS);
    let week = Dataset {
        generator: Generator::all_new(1),
        events: STORED_BEFORE,
        from: report_load::first_day(),
        span,
    };
    dataset::store(&database, week).await?;
    // With collectors, because they do the work that storing leaves for later.
    let fleet = Fleet::start_on(postgres, database_url, FLEET).await;
    dataset::settle(&database).await?;
    Ok(fleet)
}

pub(super) fn publish(fleet: &Fleet, duration: Duration) -> Process {
    let duration = format!("{}s", duration.as_secs());
    let arguments = ["publish", "--interval-ms", INTERVAL_MS, "--duration", &duration];
    Process::start("publish", fleet.weir.folder(), fleet.weir.tool(&arguments))
}

/// The lines of the publisher's summary about answers.
pub(super) fn summary(publisher: &Process) -> String {
    const WANTED: [&str; 3] = ["accepted", "failed requests", "latency p99"];
    let log = publisher.log();
    let lines = log.lines().filter(|line| WANTED.iter().any(|name| line.contains(name)));
    let words = |line: &str| {
        let words: Vec<&str> = line.split(['│', '┆', '|', ' ']).filter(|word| !word.is_empty()).collect();
        words.join(" ")
    };
    lines.map(words).collect::<Vec<_>>().join(", ")
}

/// The number of events that are accepted and not stored, sampled every second.
pub(super) async fn lags(fleet: &Fleet, duration: Duration) -> Vec<f64> {
    let mut lags = Vec::new();
    let end = Instant::now() + duration;
    // Between two rounds of report requests, and not during one.
    let mut tick = interval_at(Instant::now() + Duration::from_millis(500), Duration::from_secs(1));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while Instant::now() < end {
        tick.tick().await;
        lags.push(fleet.lag().await);
    }
    lags
}

pub(super) fn add_lag(report: &mut Report, lags: &[f64]) {
    let third = lags.len() / 3;
    let [first, last] = [&lags[..third], &lags[lags.len() - third..]].map(|lags| median(lags.to_vec()));
    let most = lags.iter().copied().fold(0.0, f64::max);
    // The publisher sends bursts. Without a growing lag, at most one of the largest bursts is in flight at any time.
    let is_flat = last < first + 50_000.0;
    report.add(
        Row::new("waiting to be stored, the last third of the time", format!("{} events", grouped(last)))
            .beside(format!("the first third {}, at most {}", grouped(first), grouped(most)))
            .bar("flat", is_flat),
    );
}

fn add_freshness(report: &mut Report, behind: &Latencies) {
    let (most, middle) = (behind.quantile(100), behind.quantile(50));
    report.add(
        Row::new("the newest event in the reports is behind by, at most", milliseconds(most))
            .beside(format!("p50 {}, of {} looks", milliseconds(middle), behind.count()))
            .bar("< 2 s", behind.count() > 0 && most < LONGEST_BEHIND),
    );
}

fn add_reports(report: &mut Report, quiet: &[ReportLatencies], reports: &[ReportLatencies]) {
    for (quiet, reports) in quiet.iter().zip(reports) {
        let [before, during] = [quiet, reports].map(|reports| reports.latencies.quantile(95));
        let slowdown = during.as_secs_f64() / before.as_secs_f64();
        report.add(
            Row::new(format!("{}, p95", reports.report), milliseconds(during))
                .beside(format!("quiet {}: × {slowdown:.1}", milliseconds(before)))
                .bar(format!("< × {MOST_SLOWDOWN:.0}"), slowdown < MOST_SLOWDOWN),
        );
    }
}
