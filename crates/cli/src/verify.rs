//! `weir verify`: whether everything that was answered yes is stored or a dead letter, once, and as it was sent.

mod args;
mod case;
mod columns;
mod dead_letters;
mod drain;
mod expectations;
mod findings;
mod stored;

use std::{process::ExitCode, time::Duration};

pub(crate) use args::VerifyArgs;
use args::{Place, Task};
use case::Case;
use dead_letters::RejectedItems;
use findings::Findings;
use indicatif::{ProgressBar, ProgressStyle};
use stored::Stored;
use weir_database::{Access, Rights};
use weir_process::exit_code;

use crate::{exit::Outcome, ledger, output::say, storage::store, wait::patiently};

/// Compares, says what it found, and fails if anything is not as it was promised.
pub(crate) async fn run(args: VerifyArgs) -> Outcome {
    let Task { place, wait } = args.check()?;
    let cases: Vec<Case> = ledger::read(&args.ledger)?.into_iter().map(Case::of).collect::<Result<_, _>>()?;
    let findings = compare(cases, &place, wait).await?;
    say(&findings);
    Ok(if findings.is_clean() { ExitCode::SUCCESS } else { ExitCode::from(exit_code::FAILED) })
}

async fn compare(mut cases: Vec<Case>, place: &Place, wait: Duration) -> anyhow::Result<Findings> {
    let journal = place.journal().await?;
    let store = Stored::read(store::open_with(&place.store(), Access::Read, Rights::Read).await?).await?;
    let waiting = patiently("collectors to store what waits", drain::wait(&journal, wait)).await?;
    let mut findings = Findings::new(waiting);
    let mut rejected = RejectedItems::default();
    let progress = progress_bar(cases.iter().map(|case| case.fates.len()).sum());
    for case in &mut cases {
        stored::compare(&store, case, &mut rejected, &mut findings, &progress).await?;
    }
    dead_letters::note_parked(&journal, &mut cases, &mut findings).await?;
    dead_letters::find_rejected(&journal, rejected, &mut findings).await?;
    for case in &cases {
        case.fates.judge(case.run.seed, &mut findings);
    }
    progress.finish_and_clear();
    Ok(findings)
}

/// On standard error, and only where that is a terminal.
fn progress_bar(events: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{elapsed} {bar:30} {human_pos} of {human_len} events");
    ProgressBar::new(events).with_style(style.expect("the template is well formed"))
}
