//! `weir publish`: behaves like the reference publisher, the load that the system exists to carry.

mod args;
mod causes;
mod corruption;
mod event;
mod item;
mod person;
mod publisher;
mod stream;
mod summary;

use std::process::ExitCode;

pub(crate) use args::{ENDPOINT, PublishArgs, endpoint};
pub(crate) use item::{Item, Kind, event_id, id_prefix, number_of};
pub(crate) use publisher::{Plan, publish};
pub(crate) use stream::{Batch, EventStream, Mix};

use crate::{
    failure::{EXIT_FAILED, Outcome},
    output::say,
    signals,
};

/// Publishes, says what came of it, and fails if a request had no 2xx for an answer.
pub(crate) async fn run(args: PublishArgs) -> Outcome {
    let plan = args.plan()?;
    let summary = publish(plan, signals::stop_when_interrupted()?).await?;
    say(&summary);
    Ok(if summary.failed() == 0 { ExitCode::SUCCESS } else { ExitCode::from(EXIT_FAILED) })
}
