//! The latency of reports on many events, warm and cold: of a month, and of a quarter.

mod latency;
mod requests;

use std::time::Duration;

use chrono::{DateTime, Days, NaiveTime, TimeDelta, Utc};

use crate::{
    dataset::{self, Dataset},
    effort::Effort,
    fleet::{self, FLEET, Fleet},
    report::{Report, Row, grouped, milliseconds, progress},
    statistics::Latencies,
};
use latency::ReportLatencies;
use requests::{RAGGED_ENDS, ReportKind, ReportRequest};
use weir_testkit::events::{Generator, Population};

/// The days over which the events are spread; they ended at the last midnight.
const MONTH: u64 = 30;
const QUARTER: u64 = 90;
const CAMPAIGNS: u64 = 500;
/// Events of each user.
const EVENTS_OF_A_USER: u64 = 10;
const EVENTS_OF_A_USER_IN_A_QUARTER: u64 = 20;
/// The divisor of the events in the smaller database.
const FEWER: u64 = 10;
/// The bar of the growth with ten times the events.
const MOST_GROWTH: f64 = 2.0;

/// The bars of the latencies.
#[derive(Clone, Copy, Debug)]
struct Bars {
    events: Duration,
    revenue: Duration,
    demographics: Duration,
    /// Of the question with ragged ends, where it is measured apart from the others.
    ragged: Option<Duration>,
}

const BARS: Bars = Bars {
    events: Duration::from_millis(15),
    revenue: Duration::from_millis(60),
    demographics: Duration::from_millis(150),
    ragged: None,
};
const BARS_OF_A_QUARTER: Bars = Bars { ragged: Some(Duration::from_millis(300)), ..BARS };
const BARS_OF_EACH_NEW: Bars =
    Bars { revenue: Duration::from_secs(1), demographics: Duration::from_secs(1), ..BARS };

pub(super) async fn measure(effort: Effort) -> anyhow::Result<Report> {
    let mut report = Report::begin("reports");
    let (many, few) = (effort.reported_events(), effort.reported_events() / FEWER);
    let known = |events: u64| known(events, EVENTS_OF_A_USER);
    let (of_few, _) = measure_reports(few, MONTH, known(few), effort).await?;
    add(&mut report, &format!("{} events", grouped(few as f64)), &of_few, None);
    let (of_many, _) = measure_reports(many, MONTH, known(many), effort).await?;
    add(&mut report, &format!("{} events", grouped(many as f64)), &of_many, Some(BARS));
    add_growth(&mut report, &of_many, &of_few);
    let (of_each_new, _) = measure_reports(many, MONTH, Population::AllNew, effort).await?;
    let each_new = format!("{} events, every user and campaign new", grouped(many as f64));
    add(&mut report, &each_new, &of_each_new, Some(BARS_OF_EACH_NEW));
    report.note(format!(
        "{MONTH} days; {EVENTS_OF_A_USER} events of each user and {CAMPAIGNS} campaigns unless each is new. {}",
        how_asked(effort)
    ));
    Ok(report)
}

pub(super) async fn quarter(effort: Effort) -> anyhow::Result<Report> {
    let mut report = Report::begin("quarter: reports of 90 days");
    let events = effort.reported_events();
    let population = known(events, EVENTS_OF_A_USER_IN_A_QUARTER);
    let (measured, mut fleet) = measure_reports(events, QUARTER, population, effort).await?;
    add(&mut report, &format!("{} events", grouped(events as f64)), &measured, Some(BARS_OF_A_QUARTER));
    fleet.add_memory(&mut report, str::to_owned)?;
    report.note(format!(
        "{QUARTER} days; {EVENTS_OF_A_USER_IN_A_QUARTER} events of each user and {CAMPAIGNS} campaigns. {}",
        how_asked(effort)
    ));
    Ok(report)
}

fn known(events: u64, events_of_a_user: u64) -> Population {
    Population::Fixed { users: (events / events_of_a_user).max(1), campaigns: CAMPAIGNS }
}

fn how_asked(effort: Effort) -> String {
    format!(
        "Over HTTP, through the edge. Warm: every question {} times, in turn; the bars are about the p95 over all \
         questions of a report. Cold: the first four once each, after PostgreSQL was restarted and the kernel told to \
         forget its pages, where it lets us. A question that runs into REPORT_TIMEOUT_MS counts with these 30 s.",
        effort.requests()
    )
}

/// The latencies of a whole fleet with so many events, and the fleet.
async fn measure_reports(
    events: u64,
    days: u64,
    population: Population,
    effort: Effort,
) -> anyhow::Result<(Vec<ReportLatencies>, Fleet)> {
    let postgres = fleet::database().await;
    let database_url = postgres.fresh_database_url().await;
    let database = dataset::migrated(&database_url.parse()?).await?;
    // With collectors, because they open segments, and do the work that storing leaves for later.
    let mut fleet = Fleet::start_on(postgres, database_url, FLEET).await;
    let (span, from) = (TimeDelta::days(days.cast_signed()), first_of_last(days));
    let dataset = Dataset { generator: Generator { run: 1, population }, events, from, span };
    dataset::store(&database, dataset).await?;
    dataset::settle(&database).await?;
    drop(database);
    let mut measured = Vec::new();
    for kind in ReportKind::ALL {
        let requests = ReportRequest::all(kind, from, days.cast_signed());
        progress(format!("asking for {}", kind.name()));
        let warm = latency::warm(&fleet.weir, &requests, effort.requests()).await;
        let cold = latency::cold(&mut fleet, &requests).await;
        measured.push(ReportLatencies { kind, warm, cold });
    }
    Ok((measured, fleet))
}

/// The begin of the first of the last `days` whole days.
fn first_of_last(days: u64) -> DateTime<Utc> {
    let today = Utc::now().date_naive().and_time(NaiveTime::MIN).and_utc();
    today - Days::new(days)
}

fn add(report: &mut Report, of: &str, measured: &[ReportLatencies], bars: Option<Bars>) {
    for ReportLatencies { kind, warm, cold } in measured {
        let ragged = bars.and_then(|bars| bars.ragged);
        let (apart, together): (Vec<_>, Vec<_>) =
            warm.iter().partition(|(name, _)| ragged.is_some() && *name == RAGGED_ENDS);
        let of_cold = [50, 95].map(|percent| milliseconds(cold.quantile(percent)));
        let beside = format!("; cold p50 {}, p95 {}", of_cold[0], of_cold[1]);
        let bar = bars.map(|bars| bars.of(*kind));
        report.add(p95(&format!("{}, {of}", kind.name()), &together, &beside, bar));
        if ragged.is_some() {
            report.add(p95(&format!("{}, {RAGGED_ENDS}, {of}", kind.name()), &apart, "", ragged));
        }
        let slowest = warm
            .iter()
            .map(|(name, latencies)| (Latencies::new(latencies.clone()).quantile(50), *name))
            .max();
        if let Some((latency, name)) = slowest {
            report.note(format!(
                "{}, {of}: the slowest question is \"{name}\", p50 {}.",
                kind.name(),
                milliseconds(latency)
            ));
        }
    }
}

/// The p95 over all of these questions.
fn p95(of: &str, questions: &[&(&str, Vec<Duration>)], beside: &str, bar: Option<Duration>) -> Row {
    let all = Latencies::new(questions.iter().flat_map(|(_, latencies)| latencies.clone()).collect());
    let [p50, p95] = [50, 95].map(|percent| all.quantile(percent));
    let row = Row::new(format!("{of}, p95"), milliseconds(p95))
        .beside(format!("p50 {}{beside}", milliseconds(p50)));
    match bar {
        Some(most) => row.bar(format!("< {}", milliseconds(most)), p95 < most),
        None => row,
    }
}

fn add_growth(report: &mut Report, many: &[ReportLatencies], few: &[ReportLatencies]) {
    for (many, few) in many.iter().zip(few) {
        let growth = many.median().as_secs_f64() / few.median().as_secs_f64();
        let row = Row::new(
            format!("{}, p50, growth with {FEWER} times the events", many.kind.name()),
            format!("× {growth:.1}"),
        );
        report.add(match many.kind {
            ReportKind::Demographics => row,
            ReportKind::Events | ReportKind::Revenue => {
                row.bar(format!("≤ × {MOST_GROWTH:.0}"), growth <= MOST_GROWTH)
            }
        });
    }
}

impl Bars {
    fn of(self, kind: ReportKind) -> Duration {
        match kind {
            ReportKind::Events => self.events,
            ReportKind::Revenue => self.revenue,
            ReportKind::Demographics => self.demographics,
        }
    }
}
