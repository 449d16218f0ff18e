//! Growth: loads events as fast as possible, and measures at each size what an event and an answer cost there.

mod bare_copy;
mod lookups;

use std::time::Duration;

use tokio::time::Instant;
use weir_testkit::{Storage, Weir};

use crate::{
    effort::Effort,
    fleet::{FLEET, Fleet},
    loops::{self, Until},
    report::{Report, Row, grouped, mebibytes, milliseconds, percent, rate},
    request_template::RequestTemplate,
    sections::peak,
    usage::{CpuTimes, Memory, folder_bytes},
};

/// The sizes at which the section looks, in events.
const SIZES: [u64; 13] = {
    const MILLION: u64 = 1_000_000;
    let mut sizes = [1, 5, 10, 12, 20, 30, 40, 50, 60, 70, 80, 90, 100];
    let mut index = 0;
    while index < sizes.len() {
        sizes[index] *= MILLION;
        index += 1;
    }
    sizes
};
const CONNECTIONS: usize = 4;
/// The events of an array, within the range of the reference publisher's.
const SIZE: usize = 10_000;
/// A report and the bar of its first answer after a load.
const REPORTS: [(&str, Duration); 3] = [
    ("events", Duration::from_millis(500)),
    ("revenue", Duration::from_secs(2)),
    ("demographics", Duration::from_secs(2)),
];
/// From so many events on, the most bytes of an event.
const MOST_BYTES: [(u64, f64); 2] = [(30_000_000, 330.0), (12_000_000, 360.0)];
/// The throughput at a size as a share of the throughput on an empty store.
const LEAST_SHARE_OF_EMPTY: f64 = 0.7;

pub(super) async fn on_servers(effort: Effort) -> anyhow::Result<Report> {
    let mut report = Report::begin("growth: as fast as possible, on servers");
    let mut fleet = Fleet::start(FLEET).await;
    let mut loading = Loading::new(&fleet.weir);
    let mut last = None;
    for size in sizes(effort) {
        last = Some((size, loading.load(&fleet.weir, &mut report, size).await?));
        add_answers(&fleet.weir, &mut report, size).await;
        fleet.add_memory(&mut report, |memory| at(size, memory))?;
        add_disk(&mut report, size, fleet.database_bytes()?);
        let log = fleet.log_bytes()? as f64 / size as f64;
        report.add(Row::new(at(size, "write-ahead log"), format!("{log:.0} bytes an event")));
    }
    if let Some((size, postgres)) = last {
        lookups::add(&fleet, &mut report, size).await?;
        bare_copy::add(&mut fleet, &mut report, size, postgres).await?;
    }
    Ok(report)
}

pub(super) async fn on_files(effort: Effort) -> anyhow::Result<Report> {
    let mut report = Report::begin("growth: as fast as possible, `weir up` on files");
    let mut weir = Weir::up_with(Storage::Files, Vec::new()).await;
    let mut loading = Loading::new(&weir);
    for size in sizes(effort) {
        loading.load(&weir, &mut report, size).await?;
        add_answers(&weir, &mut report, size).await;
        let id = weir.id_of("up");
        let Memory { now, peak } = Memory::of(id)?;
        report.add(
            Row::new(at(size, "memory of `weir up`"), mebibytes(now))
                .beside(format!("peak {}", mebibytes(peak))),
        );
        add_disk(&mut report, size, folder_bytes(weir.folder())?);
    }
    Ok(report)
}

fn sizes(effort: Effort) -> impl Iterator<Item = u64> {
    SIZES.into_iter().filter(move |size| *size <= effort.reported_events())
}

fn at(size: u64, what: &str) -> String {
    format!("{} million: {what}", grouped(size as f64 / 1e6))
}

/// The load so far.
struct Loading {
    templates: Vec<RequestTemplate>,
    loaded: u64,
    /// Events a second up to the first size.
    on_empty: Option<f64>,
}

impl Loading {
    fn new(weir: &Weir) -> Self {
        let templates = RequestTemplate::arrays(weir.addresses.edge, CONNECTIONS, SIZE, 0);
        Self { templates, loaded: 0, on_empty: None }
    }

    /// Loads up to `size` events, and adds the throughput and the processor time of it. Returns PostgreSQL's processor
    /// time an event, in µs.
    async fn load(&mut self, weir: &Weir, report: &mut Report, size: u64) -> anyhow::Result<f64> {
        let (before, started) = (CpuTimes::now(), Instant::now());
        let until = Until::Events(size - self.loaded);
        let sent = loops::closed(weir.addresses.edge, &mut self.templates, until).await?;
        self.loaded += sent.events;
        peak::stored(weir, self.loaded as f64).await?;
        let (took, share) = (started.elapsed().as_secs_f64(), before.since());
        let stored = sent.events as f64 / took;
        let on_empty = *self.on_empty.get_or_insert(stored);
        let postgres = before.time_of("postgres").as_secs_f64() / sent.events as f64 * 1e6;
        report.add(
            Row::new(at(size, "stored"), rate(stored))
                .beside(format!(
                    "accepted at {}, PostgreSQL {postgres:.1} µs an event",
                    rate(sent.per_second())
                ))
                .bar(
                    format!("≥ {} of the first", percent(LEAST_SHARE_OF_EMPTY)),
                    stored >= LEAST_SHARE_OF_EMPTY * on_empty,
                ),
        );
        report.note(format!("Processors up to {}: {share}.", at(self.loaded, "stored")));
        Ok(postgres)
    }
}

/// Asks each report once about everything.
async fn add_answers(weir: &Weir, report: &mut Report, size: u64) {
    for (name, bar) in REPORTS {
        add_first_answer(weir, report, name, bar, |what| at(size, what)).await;
    }
}

/// Asks one report once about everything. `labelled` makes the name of the row.
pub(super) async fn add_first_answer(
    weir: &Weir,
    report: &mut Report,
    name: &str,
    bar: Duration,
    labelled: impl Fn(&str) -> String,
) {
    let asked = Instant::now();
    let status = weir.report(name, &[]).await.status;
    let took = asked.elapsed();
    report.add(
        Row::new(labelled(&format!("first answer of {name}")), milliseconds(took))
            .beside(status.to_string())
            .bar(format!("< {}", milliseconds(bar)), status.is_success() && took < bar),
    );
}

fn add_disk(report: &mut Report, size: u64, bytes: u64) {
    let of_event = bytes as f64 / size as f64;
    let row = Row::new(at(size, "disk"), format!("{of_event:.0} bytes an event")).beside(mebibytes(bytes));
    report.add(match MOST_BYTES.iter().find(|(from, _)| size >= *from) {
        Some((_, most)) => row.bar(format!("≤ {most:.0} bytes"), of_event <= *most),
        None => row,
    });
}
