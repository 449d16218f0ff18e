//! `weir dead-letters`: lists, shows, redrives and discards dead letters.

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

use crate::exit::CommandResult;

#[derive(Debug, Subcommand)]
pub(crate) enum DeadLetters {
    /// Count dead letters by their violations, or list each.
    List(ListArgs),
    /// Show one dead letter with its bytes.
    Show(ShowArgs),
    /// Send dead letters through the gate again, unchanged or patched; begin with --dry-run.
    Redrive(RedriveArgs),
    /// Remove dead letters for good; begin with --dry-run.
    Discard(DiscardArgs),
}

pub(crate) async fn run(command: DeadLetters) -> CommandResult {
    match command {
        DeadLetters::List(args) => list::list(args).await,
        DeadLetters::Show(args) => list::show(args).await,
        DeadLetters::Redrive(args) => redrive::redrive(args).await,
        DeadLetters::Discard(args) => discard::discard(args).await,
    }
}
