//! Soak: the reference publisher's mean for an hour, while the three reports of everything and of today are requested.

use std::time::Duration;

use chrono::{NaiveTime, Utc};
use reqwest::StatusCode;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::{
    effort::Effort,
    fleet::{FLEET, Fleet},
    report::{Report, Row, grouped, milliseconds, progress},
    sections::{growth, mean},
    statistics::Latencies,
    usage::CpuTimes,
};

/// The interval between two rounds of reports.
const ROUND: Duration = Duration::from_secs(15);
/// A report and the bar of its 95th percentile.
const REPORTS: [(&str, Duration); 3] = [
    ("events", Duration::from_millis(50)),
    ("revenue", Duration::from_millis(250)),
    ("demographics", Duration::from_millis(500)),
];
const RANGES: [&str; 2] = ["everything", "today"];
const FIRST_ANSWER: Duration = Duration::from_secs(2);
const LONGEST_BEHIND: Duration = Duration::from_secs(5);
/// The rounds between two lines of progress.
const ROUNDS_SHOWN: usize = 8;

/// The answers of one report and range.
#[derive(Debug, Default)]
struct Answers {
    latencies: Vec<Duration>,
    failed: usize,
}

pub(super) async fn measure(effort: Effort) -> anyhow::Result<Report> {
    let mut report = Report::begin("soak: 27,500 events a second, and every report each 15 s");
    let mut fleet = Fleet::start(FLEET).await;
    let before = CpuTimes::now();
    let mut publisher = mean::publish(&fleet, effort.soak());
    let (answers, lags, behind) = tokio::join!(
        answers(&fleet, effort.soak()),
        mean::lags(&fleet, effort.soak()),
        mean::freshness::measure(&fleet.weir, 2003, effort.soak()),
    );
    let share = before.since();
    let status = publisher.ended().await;
    let stored = crate::fleet::processed(&fleet.weir).await;
    report.add(Row::new("stored", grouped(stored)));
    mean::add_lag(&mut report, &lags);
    add_behind(&mut report, &behind?);
    for (index, answers) in answers.into_iter().enumerate() {
        let ((name, bar), range) = (REPORTS[index / RANGES.len()], RANGES[index % RANGES.len()]);
        let latencies = Latencies::new(answers.latencies);
        let p95 = latencies.quantile(95);
        report.add(
            Row::new(format!("{name} of {range}, p95"), milliseconds(p95))
                .beside(format!(
                    "p50 {}, at most {}, {} of {} refused",
                    milliseconds(latencies.quantile(50)),
                    milliseconds(latencies.quantile(100)),
                    answers.failed,
                    latencies.count()
                ))
                .bar(format!("< {}, none refused", milliseconds(bar)), p95 < bar && answers.failed == 0),
        );
    }
    fleet.add_memory(&mut report, str::to_owned)?;
    let bytes = fleet.database_bytes()? as f64;
    report.add(Row::new("disk", format!("{:.0} bytes an event", bytes / stored)));
    let log = fleet.log_bytes()? as f64;
    report.add(Row::new("write-ahead log", format!("{:.0} bytes an event", log / stored)));
    add_first_answers(&mut fleet, &mut report).await;
    report.note(format!("The publisher ended with {status}: {}.", mean::summary(&publisher)));
    report.note(format!("Processors: {share}."));
    Ok(report)
}

/// Requests every report of every range, round by round. Returns the answers by report, then by range.
async fn answers(fleet: &Fleet, duration: Duration) -> Vec<Answers> {
    let end = Instant::now() + duration;
    let mut answers: Vec<Answers> = Vec::new();
    answers.resize_with(REPORTS.len() * RANGES.len(), Answers::default);
    let mut round = interval(ROUND);
    round.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut rounds = 0;
    let (mut cpu, mut shown) = (CpuTimes::now(), 0.0);
    while Instant::now() < end {
        round.tick().await;
        let today = Utc::now().date_naive().and_time(NaiveTime::MIN).and_utc().to_rfc3339();
        let mut last = Vec::new();
        for (index, answers) in answers.iter_mut().enumerate() {
            let (name, range) = (REPORTS[index / RANGES.len()].0, RANGES[index % RANGES.len()]);
            let parameters = if range == "today" { vec![("from", today.clone())] } else { Vec::new() };
            let asked = Instant::now();
            let status = fleet.weir.report(name, &parameters).await.status;
            answers.latencies.push(asked.elapsed());
            answers.failed += usize::from(status != StatusCode::OK);
            last.push(milliseconds(asked.elapsed()));
        }
        if rounds % ROUNDS_SHOWN == 0 {
            let stored = crate::fleet::processed(&fleet.weir).await;
            let postgres = cpu.time_of("postgres").as_secs_f64() / (stored - shown) * 1e6;
            progress(format!(
                "{} stored, PostgreSQL {postgres:.1} µs an event; the last answers took {}",
                grouped(stored),
                last.join(", ")
            ));
            (cpu, shown) = (CpuTimes::now(), stored);
        }
        rounds += 1;
    }
    answers
}

/// Starts reporting again, and asks each report once about everything.
async fn add_first_answers(fleet: &mut Fleet, report: &mut Report) {
    fleet.weir.stop_process("reporting").await;
    fleet.weir.start_process("reporting");
    fleet.weir.ready().await;
    for (name, _) in REPORTS {
        let labelled = |what: &str| format!("{what} after a start");
        growth::add_first_answer(&fleet.weir, report, name, FIRST_ANSWER, labelled).await;
    }
}

fn add_behind(report: &mut Report, behind: &Latencies) {
    let most = behind.quantile(100);
    report.add(
        Row::new("the newest event in the reports is behind by, at most", milliseconds(most))
            .beside(format!("p50 {}, of {} looks", milliseconds(behind.quantile(50)), behind.count()))
            .bar("< 5 s", behind.count() > 0 && most < LONGEST_BEHIND),
    );
}
