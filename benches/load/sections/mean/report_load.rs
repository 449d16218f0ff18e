//! People who ask for reports of the same week, before the load and during it.

use std::time::Duration;

use anyhow::ensure;
use chrono::{DateTime, Days, NaiveTime, TimeDelta, Utc};
use tokio::time::{Instant, MissedTickBehavior, interval};
use weir_testkit::Weir;

use crate::statistics::Latencies;

/// How many they ask about: whole ones that are over.
pub(super) const DAYS: i64 = 7;
const REPORTS: [&str; 3] = ["events", "revenue", "demographics"];
/// From one round of the three reports to the next.
const ROUND: Duration = Duration::from_secs(1);

/// How long one of the reports took.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) report: &'static str,
    pub(super) latencies: Latencies,
}

/// When the week begins: it ended at the last midnight.
pub(super) fn first_day() -> DateTime<Utc> {
    let today = Utc::now().date_naive().and_time(NaiveTime::MIN).and_utc();
    today - Days::new(DAYS.unsigned_abs())
}

/// Asks for each of the reports, round by round.
///
/// # Errors
/// A report is refused.
pub(super) async fn for_a_while(weir: &Weir, duration: Duration) -> anyhow::Result<Vec<Asked>> {
    let end = Instant::now() + duration;
    let from = first_day();
    let range = [("from", from.to_rfc3339()), ("to", (from + TimeDelta::days(DAYS)).to_rfc3339())];
    let mut latencies = REPORTS.map(|_| Vec::new());
    let mut round = interval(ROUND);
    round.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while Instant::now() < end {
        round.tick().await;
        for (report, latencies) in REPORTS.iter().zip(&mut latencies) {
            let asked = Instant::now();
            let answer = weir.report(report, &range).await;
            ensure!(answer.status.is_success(), "{report}: {answer:?}");
            latencies.push(asked.elapsed());
        }
    }
    let asked = |(report, latencies)| Asked { report, latencies: Latencies::new(latencies) };
    Ok(REPORTS.into_iter().zip(latencies).map(asked).collect())
}
