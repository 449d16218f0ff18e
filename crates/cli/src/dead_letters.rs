//! `weir dead-letters`: what is not among the stored events, and what can be done about it.

mod args;
mod client;
mod discard;
mod json;
mod list;
mod patch;
mod redrive;

use clap::Subcommand;
use discard::DiscardArgs;
use list::{ListArgs, ShowArgs};
use redrive::RedriveArgs;

use crate::exit::Outcome;

#[derive(Debug, Subcommand)]
pub(crate) enum DeadLetters {
    /// Count dead letters by what is wrong with them, or list each.
    List(ListArgs),
    /// Show one dead letter with its bytes.
    Show(ShowArgs),
    /// Send dead letters through the gate again, as they are or patched; begin with --dry-run.
    Redrive(RedriveArgs),
    /// Remove dead letters for good; begin with --dry-run.
    Discard(DiscardArgs),
}

pub(crate) async fn run(command: DeadLetters) -> Outcome {
    match command {
        DeadLetters::List(args) => list::list(args).await,
        DeadLetters::Show(args) => list::show(args).await,
        DeadLetters::Redrive(args) => redrive::redrive(args).await,
        DeadLetters::Discard(args) => discard::discard(args).await,
    }
}
