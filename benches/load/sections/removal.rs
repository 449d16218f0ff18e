//! The removal of a segment of events, beside a store that goes on storing.

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use chrono::Utc;
use sea_orm::{ConnectionTrait as _, DatabaseConnection};
use tokio::time::sleep;
use weir_collectors::store::{Store, Submission};
use weir_testkit::events::Generator;

use crate::{
    dataset::{self, BATCH_EVENTS, BATCH_FRAMES},
    effort::Effort,
    fleet,
    report::{Report, Row, grouped, milliseconds, rate},
    statistics::Latencies,
};

/// The bar, in rows a second of the time for which storing waits.
const LEAST_ROWS: f64 = 1_000_000.0;
/// The bar of a batch meanwhile, as a multiple of a batch before.
const MOST_RATIO: f64 = 2.0;
/// Events that are generated at once.
const CHUNK: u64 = 100_000;
/// The time for which batches are measured before the removal.
const BEFORE: Duration = Duration::from_secs(10);

/// When batches began, and how long they took.
type Batches = Vec<(Instant, Duration)>;

pub(super) async fn measure(effort: Effort) -> anyhow::Result<Report> {
    let mut report = Report::begin("removal: a segment of events, on PostgreSQL");
    let postgres = fleet::database().await;
    let database = dataset::migrated(&postgres.fresh_database().await).await?;
    let rows = effort.reported_events();
    store_range(&Store::new(&database), 0..rows, &AtomicBool::new(false)).await?;
    run(&database, "SELECT weir_open_segment()").await?;

    let stop = Arc::new(AtomicBool::new(false));
    let storing = tokio::spawn({
        let (store, stop) = (Store::new(&database), Arc::clone(&stop));
        async move { store_range(&store, rows..u64::MAX, &stop).await }
    });
    sleep(BEFORE).await;
    let begun = Instant::now();
    run(&database, "SELECT weir_keep_event_keys(1)").await?;
    let kept = Instant::now();
    while database.execute_unprepared("SELECT weir_remove_segment(1)").await.is_err() {
        sleep(Duration::from_millis(100)).await;
    }
    let removed = Instant::now();
    sleep(Duration::from_secs(1)).await;
    stop.store(true, Ordering::Relaxed);
    let batches = storing.await??;

    let (made, dropped) = (kept - begun, removed - kept);
    let per_second = |time: Duration| rows as f64 / time.as_secs_f64();
    report.add(
        Row::new("rows turned into keys, which keeps nobody waiting", rate(per_second(made)))
            .beside(format!("{rows} rows in {:.1} s", made.as_secs_f64())),
    );
    report.add(
        Row::new("rows dropped", rate(per_second(dropped)))
            .beside(format!("in {}, the waits for running transactions among them", milliseconds(dropped)))
            .bar("≥ 1,000,000/s", per_second(dropped) >= LEAST_ROWS),
    );
    let [before, meanwhile] = [batches[0].0..begun, begun..removed].map(|span| latencies(&batches, &span));
    let ratio = meanwhile.quantile(99).as_secs_f64() / before.quantile(99).as_secs_f64();
    report.add(
        Row::new(
            format!("a batch of {} events meanwhile, p99", grouped(BATCH_EVENTS as f64)),
            milliseconds(meanwhile.quantile(99)),
        )
        .beside(format!(
            "p50 {}, {} batches; before: p99 {}, p50 {}, {} batches",
            milliseconds(meanwhile.quantile(50)),
            meanwhile.count(),
            milliseconds(before.quantile(99)),
            milliseconds(before.quantile(50)),
            before.count(),
        ))
        .bar("< 2 × before", ratio < MOST_RATIO),
    );
    Ok(report)
}

async fn run(database: &DatabaseConnection, statement: &str) -> anyhow::Result<()> {
    Ok(database.execute_unprepared(statement).await.map(drop)?)
}

/// Stores new events in transactions of the size that workers use, until `stop`.
async fn store_range(store: &Store, numbers: Range<u64>, stop: &AtomicBool) -> anyhow::Result<Batches> {
    let generator = Generator::all_new(5);
    let (mut batches, mut start) = (Vec::new(), numbers.start);
    while start < numbers.end && !stop.load(Ordering::Relaxed) {
        let end = numbers.end.min(start + CHUNK);
        let now = Utc::now();
        let frames = generator.frames(start..end, |_| now);
        for batch in frames.chunks(BATCH_FRAMES) {
            let submissions: Vec<Submission<'_>> = batch.iter().map(Submission::whole).collect();
            let begun = Instant::now();
            store.store(&submissions).await?;
            batches.push((begun, begun.elapsed()));
        }
        start = end;
    }
    Ok(batches)
}

/// The latencies of the batches that ran within `span`, if only for a part of their time.
fn latencies(batches: &Batches, span: &Range<Instant>) -> Latencies {
    let within = batches.iter().filter(|(begun, took)| *begun < span.end && *begun + *took > span.start);
    Latencies::new(within.map(|(_, took)| *took).collect())
}
