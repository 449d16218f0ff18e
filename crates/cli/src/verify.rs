//! `weir verify`: whether everything that was answered yes is stored or a dead letter, once, and as it was sent.

mod args;
mod buried;
mod columns;
mod drain;
mod fates;
mod findings;
mod removed;
mod stored;

use std::{process::ExitCode, time::Duration};

pub(crate) use args::VerifyArgs;
use args::{Place, Task};
use buried::RejectedItems;
use fates::Fates;
use findings::Findings;
use indicatif::{ProgressBar, ProgressStyle};
use stored::Stored;
use weir_database::{Access, Rights};

use crate::{
    failure::{EXIT_FAILED, Outcome},
    ledger::{self, Run},
    output::say,
    place::{patiently, store},
};

/// A ledger's run, and what is known of each of its events.
struct Case {
    run: Run,
    fates: Fates,
}

/// Compares, says what it found, and fails if anything is not as it was promised.
pub(crate) async fn run(args: VerifyArgs) -> Outcome {
    let Task { place, wait } = args.check()?;
    let cases = cases(ledger::read(&args.ledger)?)?;
    let findings = compare(cases, &place, wait).await?;
    say(&findings);
    Ok(if findings.is_clean() { ExitCode::SUCCESS } else { ExitCode::from(EXIT_FAILED) })
}

fn cases(runs: Vec<Run>) -> anyhow::Result<Vec<Case>> {
    runs.into_iter().map(|run| Ok(Case { fates: Fates::of(&run)?, run })).collect()
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
    buried::note_parked(&journal, &mut cases, &mut findings).await?;
    buried::find_rejected(&journal, rejected, &mut findings).await?;
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
