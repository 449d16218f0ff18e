//! `weir`: any role of the system, or all of them, and the tools around them. A table of contents.

mod client;
mod collect;
mod dead_letters;
mod edge;
mod erase;
mod event;
mod exit;
mod generator;
mod health;
mod help;
mod ingest;
mod journal;
mod ledger;
mod log_level;
mod migrate;
mod output;
mod publish;
mod reconcile;
mod report;
mod reporting;
mod runner;
mod storage;
mod units;
mod up;
mod verify;
mod wait;

use std::{process::ExitCode, time::Duration};

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use exit::{Outcome, ended, usage_exit_code};
use weir_process::{args, exit_code, flush_logs};

/// Takes ad-platform webhooks in, loses nothing that it accepted, counts everything once and answers for it.
#[derive(Parser)]
#[command(
    name = "weir",
    version,
    long_about = help::ABOUT,
    after_long_help = help::EXAMPLES,
    after_help = help::MORE,
    max_term_width = 110,
    arg_required_else_help = true
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run every role in this process, on files or on servers.
    #[command(after_long_help = help::UP, after_help = help::MORE)]
    #[command(mut_arg("ingest_url", |arg| arg.hide(true)), mut_arg("reporting_url", |arg| arg.hide(true)))]
    Up(Box<up::UpCommand>),
    /// Run the edge: webhooks and reports over HTTP.
    Edge(edge::EdgeCommand),
    /// Run ingest: the gate in front of the journal, over gRPC.
    Ingest(ingest::IngestCommand),
    /// Run collectors: they move events from the journal into the store.
    Collect(collect::CollectCommand),
    /// Run reporting: how many, how much, who, over gRPC.
    Reporting(reporting::ReportingCommand),
    /// Bring the store's tables up to date, or take them back.
    Migrate(migrate::MigrateArgs),
    /// Publish invented events, as the reference publisher does.
    #[command(after_long_help = help::PUBLISH, after_help = help::MORE)]
    Publish(publish::PublishArgs),
    /// Compare what `weir publish --ledger` wrote down with the store and the dead letters.
    Verify(verify::VerifyArgs),
    /// Compare what is added up for reports with the rows, and set it right; exit code 0 if nothing differs, 1 if not.
    #[command(after_long_help = help::RECONCILE, after_help = help::MORE)]
    Reconcile(reconcile::ReconcileArgs),
    /// Ask the reporting service: how many, how much, who.
    #[command(subcommand, after_long_help = help::REPORT, after_help = help::MORE)]
    Report(report::Report),
    /// Look at dead letters, send them through the gate again, or throw them away.
    #[command(subcommand, after_long_help = help::DEAD_LETTERS, after_help = help::MORE)]
    DeadLetters(dead_letters::DeadLetters),
    /// Take a person out of what is stored, and print a receipt.
    #[command(after_long_help = help::ERASE, after_help = help::MORE)]
    Erase(erase::EraseArgs),
    /// Ask where an event is: stored, a dead letter, or unknown; exit code 0 if it is found, 1 if not.
    #[command(after_long_help = help::EVENT, after_help = help::MORE)]
    Event(event::EventArgs),
    /// Look at the settings of a journal on NATS, wanted and found, change them, or take note of lost frames.
    #[command(subcommand, after_long_help = help::JOURNAL, after_help = help::MORE)]
    Journal(journal::JournalCommand),
    /// Ask a role whether it is ready; exit code 0 if it is, 1 if not.
    Health(health::HealthArgs),
    /// Show what a role on this machine logs, or change it until the role ends.
    LogLevel(log_level::LogLevelArgs),
}

impl Command {
    async fn run(self) -> Outcome {
        match self {
            Self::Up(args) => Box::pin(up::run(*args)).await,
            Self::Edge(args) => edge::run(args).await,
            Self::Ingest(args) => ingest::run(args).await,
            Self::Collect(args) => Box::pin(collect::run(args)).await,
            Self::Reporting(args) => reporting::run(args).await,
            Self::Migrate(args) => migrate::run(args).await,
            Self::Publish(args) => publish::run(args).await,
            Self::Verify(args) => verify::run(args).await,
            Self::Reconcile(args) => reconcile::run(args).await,
            Self::Report(report) => report::run(report).await,
            Self::DeadLetters(command) => dead_letters::run(command).await,
            Self::Erase(args) => erase::run(args).await,
            Self::Event(args) => event::run(args).await,
            Self::Journal(command) => journal::run(command).await,
            Self::Health(args) => health::run(args).await,
            Self::LogLevel(args) => log_level::run(args).await,
        }
    }
}

/// How long the end waits for a thread that a call of the system holds, such as a name server that does not answer.
const LAST_CALLS: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            output::complain(format_args!("weir: no threads can be had: {error}"));
            return ExitCode::from(exit_code::FAILED);
        }
    };
    let code = runtime.block_on(run());
    runtime.shutdown_timeout(LAST_CALLS);
    code
}

async fn run() -> ExitCode {
    let cli = match args::parse(&Cli::command()).and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) => {
            let printed = error.print();
            if !error.use_stderr() {
                output::note(printed);
            }
            return ended(usage_exit_code(&error));
        }
    };
    let code = Box::pin(cli.command.run()).await.unwrap_or_else(|failure| {
        failure.tell();
        failure.exit_code()
    });
    let code = ended(code);
    flush_logs();
    code
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_well_formed() {
        super::Cli::command().debug_assert();
    }
}
