//! Report requests for the same week, before the load and during it.

use std::time::Duration;

use anyhow::ensure;
use chrono::{DateTime, Days, NaiveTime, TimeDelta, Utc};
use tokio::time::{Instant, MissedTickBehavior, interval};
use weir_testkit::Weir;

use crate::statistics::Latencies;

/// The number of days that the reports cover: whole ones that are over.
pub(super) const DAYS: i64 = 7;
const REPORTS: [&str; 3] = ["events", "revenue", "demographics"];
/// The interval between two rounds of the three reports.
const ROUND: Duration = Duration::from_secs(1);

/// The latencies of one report.
#[derive(Clone, Debug)]
pub(super) struct ReportLatencies {
    pub(super) report: &'static str,
    pub(super) latencies: Latencies,
}

/// The begin of the week, which ended at the last midnight.
pub(super) fn first_day() -> DateTime<Utc> {
    let today = Utc::now().date_naive().and_time(NaiveTime::MIN).and_utc();
    today - Days::new(DAYS.unsigned_abs())
}

/// Requests each of the reports, round by round.
///
/// # Errors
/// A report is refused.
pub(super) async fn measure(weir: &Weir, duration: Duration) -> anyhow::Result<Vec<ReportLatencies>> {
    let end = Instant::now() + duration;
    let from = first_day();
    let range = [("from", from.to_rfc3339()), ("to", (from + TimeDelta::days(DAYS)).to_rfc3339())];
    let mut latencies = REPORTS.map(|_| Vec::new());
    let mut round = interval(ROUND);
    round.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while Instant::now() < end {
        round.tick().await;
        for (report, latencies) in REPORTS.iter().zip(&mut latencies) {
            let requested = Instant::now();
            let answer = weir.report(report, &range).await;
            ensure!(answer.status.is_success(), "{report}: {answer:?}");
            latencies.push(requested.elapsed());
        }
    }
    let of_report = |(report, latencies)| ReportLatencies { report, latencies: Latencies::new(latencies) };
    Ok(REPORTS.into_iter().zip(latencies).map(of_report).collect())
}
