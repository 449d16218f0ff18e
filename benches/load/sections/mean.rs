//! The reference publisher's mean for minutes, on the whole fleet, while people ask for reports.

mod freshness;
mod report_load;

use std::time::Duration;

use chrono::TimeDelta;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::{
    dataset::{self, Load},
    effort::Effort,
    fleet::{self, FLEET, Fleet},
    report::{Report, Row, grouped, mebibytes, milliseconds},
    statistics::{Latencies, median},
    usage::Memory,
    usage::Processors,
};
use report_load::Asked;
use weir_testkit::{
    events::{Crowd, Writer},
    process::Process,
};

/// Between two posts of 1,000 to 50,000 events, so that 27,500 a second are sent: the mean of the publisher's own
/// 25 to 30 thousand.
const INTERVAL_MS: &str = "927";
const LONGEST_BEHIND: Duration = Duration::from_secs(2);
/// Reports may take so many times as long as on a quiet system.
const MOST_SLOWDOWN: f64 = 2.0;
/// How long people ask before the load, at least.
const QUIET: Duration = Duration::from_secs(10);
/// Of so long before that nothing is told: the first answers fill caches.
const WARMING: Duration = Duration::from_secs(2);
/// What is there before, and what the reports are about: a week of so many events.
const STORED_BEFORE: u64 = 300_000;

pub(super) async fn measure(effort: Effort) -> anyhow::Result<Report> {
    let mut report = Report::begin("mean: 27,500 events a second on the whole fleet");
    let mut fleet = prepared().await?;
    report_load::for_a_while(&fleet.weir, WARMING).await?;
    let quiet = looks(&fleet, 2001, QUIET.max(effort.mean() / 5)).await;
    let before = Processors::now();
    let mut publisher = publish(&fleet, effort.mean());
    let Looks { lags, asked, behind } = looks(&fleet, 2002, effort.mean()).await;
    let share = before.since();
    let status = publisher.ended().await;
    add_lag(&mut report, &lags);
    add_freshness(&mut report, &behind?);
    add_reports(&mut report, &quiet.asked?, &asked?);
    for (role, _) in FLEET {
        let Memory { now, peak } = Memory::of(fleet.weir.id_of(role))?;
        report.add(
            Row::new(format!("{role}, memory"), mebibytes(now)).beside(format!("peak {}", mebibytes(peak))),
        );
    }
    report.note(format!("The publisher ended with {status}: {}.", told(&publisher)));
    report.note(format!("Processors: {share}."));
    Ok(report)
}

/// What is seen of the fleet, by people and by who watches over it. All of it goes on before the load too, so that the load
/// is the only difference.
struct Looks {
    lags: Vec<f64>,
    asked: anyhow::Result<Vec<Asked>>,
    behind: anyhow::Result<Latencies>,
}

/// `year` is one without events.
async fn looks(fleet: &Fleet, year: i32, duration: Duration) -> Looks {
    let (lags, asked, behind) = tokio::join!(
        lags(fleet, duration),
        report_load::for_a_while(&fleet.weir, duration),
        freshness::for_a_while(&fleet.weir, year, duration),
    );
    Looks { lags, asked, behind }
}

/// The fleet on a store with a week of events.
async fn prepared() -> anyhow::Result<Fleet> {
    let postgres = fleet::database().await;
    let database_url = postgres.fresh_address().await;
    let database = dataset::migrated(&database_url.parse()?).await?;
    let span = TimeDelta::days(report_load::DAYS);
    let load = Load {
        writer: Writer { run: 1, crowd: Crowd::EachNew },
        events: STORED_BEFORE,
        from: report_load::first_day(),
        span,
    };
    dataset::load(&database, load).await?;
    // With collectors, because what storing leaves for later is theirs to do.
    let fleet = Fleet::start_on(postgres, database_url, FLEET).await;
    dataset::settle(&database).await?;
    Ok(fleet)
}

fn publish(fleet: &Fleet, duration: Duration) -> Process {
    let duration = format!("{}s", duration.as_secs());
    let arguments = ["publish", "--interval-ms", INTERVAL_MS, "--duration", &duration];
    Process::start("publish", fleet.weir.folder(), fleet.weir.tool(&arguments))
}

/// What the publisher says of the answers.
fn told(publisher: &Process) -> String {
    const TOLD: [&str; 3] = ["accepted", "failed requests", "latency p99"];
    let log = publisher.log();
    let lines = log.lines().filter(|line| TOLD.iter().any(|name| line.contains(name)));
    let words = |line: &str| {
        let words: Vec<&str> = line.split(['│', '┆', '|', ' ']).filter(|word| !word.is_empty()).collect();
        words.join(" ")
    };
    lines.map(words).collect::<Vec<_>>().join(", ")
}

/// Events that are accepted and not stored, every second.
async fn lags(fleet: &Fleet, duration: Duration) -> Vec<f64> {
    let mut lags = Vec::new();
    let end = Instant::now() + duration;
    // Between two rounds of questions, and not beside one.
    let mut tick = interval_at(Instant::now() + Duration::from_millis(500), Duration::from_secs(1));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while Instant::now() < end {
        tick.tick().await;
        lags.push(fleet.lag().await);
    }
    lags
}

fn add_lag(report: &mut Report, lags: &[f64]) {
    let third = lags.len() / 3;
    let [first, last] = [&lags[..third], &lags[lags.len() - third..]].map(|lags| median(lags.to_vec()));
    let most = lags.iter().copied().fold(0.0, f64::max);
    // The publisher sends bursts: at most one of the largest is on its way at any time, where nothing piles up.
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

fn add_reports(report: &mut Report, quiet: &[Asked], asked: &[Asked]) {
    for (quiet, asked) in quiet.iter().zip(asked) {
        let [before, during] = [quiet, asked].map(|asked| asked.latencies.quantile(95));
        let slowdown = during.as_secs_f64() / before.as_secs_f64();
        report.add(
            Row::new(format!("{}, p95", asked.report), milliseconds(during))
                .beside(format!("quiet {}: × {slowdown:.1}", milliseconds(before)))
                .bar(format!("< × {MOST_SLOWDOWN:.0}"), slowdown < MOST_SLOWDOWN),
        );
    }
}
