//! `weir publish`: behaves like the reference publisher, the load that the system exists to carry.

mod args;
mod causes;
mod publisher;
mod summary;

use std::process::ExitCode;

use anyhow::Context as _;
pub(crate) use args::PublishArgs;
pub(crate) use publisher::{Plan, publish};
use weir_process::{Signals, exit_code};

use crate::{exit::Outcome, output::say};

/// Publishes, says what came of it, and fails if a request had no 2xx for an answer.
pub(crate) async fn run(args: PublishArgs) -> Outcome {
    let plan = args.plan()?;
    let summary = publish(plan, Signals::stop_at_first().context("signals can't be watched")?).await?;
    say(&summary);
    Ok(if summary.failed() == 0 { ExitCode::SUCCESS } else { ExitCode::from(exit_code::FAILED) })
}
