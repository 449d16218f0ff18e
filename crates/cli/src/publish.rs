//! `weir publish`: posts generated events, like the reference publisher.

mod args;
mod causes;
mod publisher;
mod summary;

use std::process::ExitCode;

use anyhow::Context as _;
pub(crate) use args::PublishArgs;
pub(crate) use publisher::{Plan, publish};
use weir_process::{Signals, exit_code};

use crate::{exit::CommandResult, output::print_page};

/// Publishes, prints the summary, and fails if a request had no 2xx.
pub(crate) async fn run(args: PublishArgs) -> CommandResult {
    let plan = args.plan()?;
    let summary = publish(plan, Signals::stop_at_first().context("signals can't be watched")?).await?;
    print_page(&summary.page());
    Ok(if summary.failed() == 0 { ExitCode::SUCCESS } else { ExitCode::from(exit_code::FAILED) })
}
