//! `weir reconcile`: whether what is added up still is what the rows say; sets it right where it is told to.

mod args;
mod findings;
mod json;
mod labels;
mod table;

use std::process::ExitCode;

use anyhow::Context as _;
pub(crate) use args::ReconcileArgs;
use args::{Format, Task};
use chrono::DateTime;
use findings::Findings;
use indicatif::{ProgressBar, ProgressStyle};
use weir_collectors::{
    reconcile::{Compared, Grain, Piece, Reconciler, RepairClaim},
    store::Store,
};
use weir_database::{Access, DatabaseUrl, Rights};
use weir_process::{Signals, Stop, exit_code};

use crate::{exit::Outcome, output::say, storage::store};

/// Who repairs, and the right to.
struct Repairer {
    store: Store,
    _claim: RepairClaim,
}

impl Repairer {
    async fn open(url: &DatabaseUrl) -> anyhow::Result<Self> {
        let store = Store::new(&store::open_with(url, Access::Write, Rights::Write).await?);
        let claim = RepairClaim::take(&store).await.context("can't repair")?;
        Ok(Self { store, _claim: claim })
    }
}

/// Compares, repairs where it is told to, says what it found, and fails where anything differs at the end.
pub(crate) async fn run(args: ReconcileArgs) -> Outcome {
    let task = args.check()?;
    let stop = Signals::stop_at_first().context("signals can't be watched")?;
    let findings = reconcile(&task, &stop).await?;
    match task.format {
        Format::Table => say(table::shown(&findings)),
        Format::Json => say(format_args!("{:#}", json::shown(&findings))),
    }
    Ok(if findings.is_clean() { ExitCode::SUCCESS } else { ExitCode::from(exit_code::FAILED) })
}

async fn reconcile(task: &Task, stop: &Stop) -> anyhow::Result<Findings> {
    let url = task.store();
    // Also to repair: only this pool makes no file where there is none.
    let reader = Store::new(&store::open_with(&url, Access::Read, Rights::Read).await?);
    let repairer = if task.repair { Some(Repairer::open(&url).await?) } else { None };
    let reconciler = Reconciler::new(reader, task.period);
    let mut findings = Findings::new(task);
    let Some((first, last)) = reconciler.days().await.context("can't read the store")? else {
        return Ok(findings);
    };
    let progress = progress_bar(first, last);
    let mut next = Some(first);
    while let Some(day) = next {
        if !compare_day(task, &reconciler, repairer.as_ref(), day, stop, &mut findings).await? {
            findings.interrupted_at = Some(day);
            break;
        }
        progress.set_position(days_between(first, day) + 1);
        next = reconciler.day_after(day).await.context("can't read the store")?;
    }
    progress.finish_and_clear();
    Ok(findings)
}

/// False where it was interrupted; a repair comes to the end of its day first.
async fn compare_day(
    task: &Task,
    reconciler: &Reconciler,
    repairer: Option<&Repairer>,
    day: i64,
    stop: &Stop,
    findings: &mut Findings,
) -> anyhow::Result<bool> {
    for source in &task.sources {
        let piece = Piece { source: *source, day };
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

async fn compare(reconciler: &Reconciler, piece: Piece, findings: &mut Findings) -> anyhow::Result<Compared> {
    let compared = reconciler.compare(piece, |difference| findings.find(difference)).await?;
    findings.left += compared.differences;
    Ok(compared)
}

/// Repairs, and compares again where there was anything to repair.
async fn repair(
    reconciler: &Reconciler,
    repairer: &Repairer,
    piece: Piece,
    findings: &mut Findings,
) -> anyhow::Result<Compared> {
    let compared =
        reconciler.repair(piece, &repairer.store, |difference| findings.repair(difference)).await?;
    if compared.differences > 0 {
        findings.left += reconciler.compare(piece, |_| {}).await?.differences;
    }
    Ok(compared)
}

/// On standard error, and only where that is a terminal.
fn progress_bar(first: i64, last: i64) -> ProgressBar {
    let style = ProgressStyle::with_template("{elapsed} {bar:30} {human_pos} of {human_len} days");
    ProgressBar::new(days_between(first, last) + 1).with_style(style.expect("the template is well formed"))
}

fn days_between(first: i64, last: i64) -> u64 {
    (last - first).unsigned_abs() / Grain::Day.width().unsigned_abs()
}
