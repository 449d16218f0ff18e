//! `weir verify`: checks that every accepted event is stored or a dead letter, once, and unchanged.

mod args;
mod columns;
mod dead_letters;
mod drain;
mod expectations;
mod findings;
mod rows;
mod stored;

use std::{process::ExitCode, time::Duration};

pub(crate) use args::VerifyArgs;
use args::{Deployment, VerifyOptions};
use dead_letters::RejectedItems;
use expectations::Case;
use findings::VerifyFindings;
use indicatif::{ProgressBar, ProgressStyle};
use stored::StoreReader;
use weir_database::{Access, Rights};
use weir_process::exit_code;

use crate::{exit::CommandResult, ledger, output::print_page, storage::store, wait::with_wait_notice};

/// Compares, shows the findings, and fails unless every promise holds.
pub(crate) async fn run(args: VerifyArgs) -> CommandResult {
    let VerifyOptions { deployment, wait } = args.check()?;
    let cases: Vec<Case> = ledger::read(&args.ledger)?.into_iter().map(Case::of).collect::<Result<_, _>>()?;
    let findings = compare(cases, &deployment, wait).await?;
    print_page(&findings.page());
    Ok(if findings.is_clean() { ExitCode::SUCCESS } else { ExitCode::from(exit_code::FAILED) })
}

async fn compare(
    mut cases: Vec<Case>,
    deployment: &Deployment,
    wait: Duration,
) -> anyhow::Result<VerifyFindings> {
    let journal = deployment.journal().await?;
    let store =
        StoreReader::read(store::open_with(&deployment.store(), Access::Read, Rights::Read).await?).await?;
    let waiting =
        with_wait_notice("collectors to store the waiting frames", drain::wait(&journal, wait)).await?;
    let mut findings = VerifyFindings::new(waiting);
    let mut rejected = RejectedItems::default();
    let progress = progress_bar(cases.iter().map(|case| case.expectations.len()).sum());
    for case in &mut cases {
        stored::compare(&store, case, &mut rejected, &mut findings, &progress).await?;
    }
    dead_letters::note_parked(&journal, &mut cases, &mut findings).await?;
    dead_letters::find_rejected(&journal, rejected, &mut findings).await?;
    for case in &cases {
        case.expectations.check(case.run.seed, &mut findings);
    }
    progress.finish_and_clear();
    Ok(findings)
}

/// Shown on standard error, and only on a terminal.
fn progress_bar(events: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{elapsed} {bar:30} {human_pos} of {human_len} events");
    ProgressBar::new(events).with_style(style.expect("the template is well formed"))
}
