//! `weir reconcile`: compares the rollups of reports with the rows, and corrects them with --repair.

mod args;
mod findings;
mod json;
mod labels;
mod table;

use std::process::ExitCode;

use anyhow::Context as _;
pub(crate) use args::ReconcileArgs;
use args::{Format, ReconcileOptions};
use chrono::DateTime;
use findings::ReconcileFindings;
use indicatif::{ProgressBar, ProgressStyle};
use weir_collectors::{
    reconcile::{ComparedDay, Reconciler, RepairLock, SourceDay},
    store::Store,
};
use weir_database::{Access, DatabaseUrl, Rights, time_bucket::DAY};
use weir_process::{Signals, Stop, exit_code};

use crate::{
    exit::CommandResult,
    output::{print_json, print_page},
    storage::store,
};

/// The store of a repair, and the lock that admits one repair at a time.
struct Repairer {
    store: Store,
    _lock: RepairLock,
}

impl Repairer {
    async fn open(url: &DatabaseUrl) -> anyhow::Result<Self> {
        let store = Store::new(&store::open_with(url, Access::Write, Rights::Write).await?);
        let lock = RepairLock::take(&store).await.context("can't repair")?;
        Ok(Self { store, _lock: lock })
    }
}

/// Compares, repairs with --repair, shows the findings, and fails if differences remain.
pub(crate) async fn run(args: ReconcileArgs) -> CommandResult {
    let options = args.check()?;
    let stop = Signals::stop_at_first().context("signals can't be watched")?;
    let findings = reconcile(&options, &stop).await?;
    match options.format {
        Format::Table => print_page(&table::page(&findings)),
        Format::Json => print_json(json::shown(&findings)),
    }
    Ok(if findings.is_clean() { ExitCode::SUCCESS } else { ExitCode::from(exit_code::FAILED) })
}

async fn reconcile(options: &ReconcileOptions, stop: &Stop) -> anyhow::Result<ReconcileFindings> {
    let url = options.store();
    // Also with --repair: only this pool does not create a missing file.
    let reader = Store::new(&store::open_with(&url, Access::Read, Rights::Read).await?);
    let repairer = if options.repair { Some(Repairer::open(&url).await?) } else { None };
    let reconciler = Reconciler::new(reader, options.period);
    let mut findings = ReconcileFindings::new(options);
    let Some((first, last)) = reconciler.days().await.context("can't read the store")? else {
        return Ok(findings);
    };
    let progress = progress_bar(first, last);
    let mut next = Some(first);
    while let Some(day) = next {
        if !compare_day(options, &reconciler, repairer.as_ref(), day, stop, &mut findings).await? {
            findings.interrupted_at = Some(day);
            break;
        }
        progress.set_position(days_between(first, day) + 1);
        next = reconciler.day_after(day).await.context("can't read the store")?;
    }
    progress.finish_and_clear();
    Ok(findings)
}

/// Returns false after an interrupt; a repair completes its day first.
async fn compare_day(
    options: &ReconcileOptions,
    reconciler: &Reconciler,
    repairer: Option<&Repairer>,
    day: i64,
    stop: &Stop,
    findings: &mut ReconcileFindings,
) -> anyhow::Result<bool> {
    for source in &options.sources {
        let piece = SourceDay { source: *source, day };
        let compared = match repairer {
            None => stop.run_until_cancelled(compare(reconciler, piece, findings)).await,
            Some(_) if stop.is_cancelled() => None,
            Some(repairer) => Some(repair(reconciler, repairer, piece, findings).await),
        };
        let Some(compared) = compared else { return Ok(false) };
        let day = DateTime::from_timestamp_micros(day).unwrap_or_default().date_naive();
        findings
            .note(piece, compared.with_context(|| format!("can't reconcile {day} of {}", source.name()))?);
    }
    findings.days += 1;
    Ok(true)
}

async fn compare(
    reconciler: &Reconciler,
    piece: SourceDay,
    findings: &mut ReconcileFindings,
) -> anyhow::Result<ComparedDay> {
    let compared = reconciler.compare(piece, |difference| findings.find(difference)).await?;
    findings.left += compared.differences;
    Ok(compared)
}

/// Repairs, and compares again if there was a difference.
async fn repair(
    reconciler: &Reconciler,
    repairer: &Repairer,
    piece: SourceDay,
    findings: &mut ReconcileFindings,
) -> anyhow::Result<ComparedDay> {
    let compared =
        reconciler.repair(piece, &repairer.store, |difference| findings.repair(difference)).await?;
    if compared.differences > 0 {
        findings.left += reconciler.compare(piece, |_| {}).await?.differences;
    }
    Ok(compared)
}

/// Shown on standard error, and only on a terminal.
fn progress_bar(first: i64, last: i64) -> ProgressBar {
    let style = ProgressStyle::with_template("{elapsed} {bar:30} {human_pos} of {human_len} days");
    ProgressBar::new(days_between(first, last) + 1).with_style(style.expect("the template is well formed"))
}

fn days_between(first: i64, last: i64) -> u64 {
    (last - first).unsigned_abs() / DAY.unsigned_abs()
}
