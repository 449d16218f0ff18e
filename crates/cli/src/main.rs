//! `weir`: one command for every role of the system, for all of them together, and for the tools around them.

#![doc = include_str!("../README.md")]

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
mod private_files;
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
use exit::{CommandResult, finish, usage_exit_code};
use weir_process::{args, exit_code, flush_logs};

/// Takes ad-platform webhooks in, loses nothing that it accepted, counts each event once and reports the counts.
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
    /// Run reporting: counts, revenue and demographics over gRPC.
    Reporting(reporting::ReportingCommand),
    /// Apply the migrations of the store, or revert them.
    Migrate(migrate::MigrateArgs),
    /// Publish generated events, like the reference publisher.
    #[command(after_long_help = help::PUBLISH, after_help = help::MORE)]
    Publish(publish::PublishArgs),
    /// Compare the ledger of `weir publish --ledger` with the store and the dead letters.
    Verify(verify::VerifyArgs),
    /// Compare the rollups of reports with the rows, and correct them; exit code 0 if nothing differs, 1 if
    /// not.
    #[command(after_long_help = help::RECONCILE, after_help = help::MORE)]
    Reconcile(reconcile::ReconcileArgs),
    /// Ask reporting for counts, revenue or demographics.
    #[command(subcommand, after_long_help = help::REPORT, after_help = help::MORE)]
    Report(report::ReportCommand),
    /// List and show dead letters, send them through the gate again, or discard them.
    #[command(subcommand, after_long_help = help::DEAD_LETTERS, after_help = help::MORE)]
    DeadLetters(dead_letters::DeadLetters),
    /// Remove a person from the stored data, and print a receipt.
    #[command(after_long_help = help::ERASE, after_help = help::MORE)]
    Erase(erase::EraseArgs),
    /// Look up an event: stored, removed, a dead letter, or unknown; exit code 0 if it is found, 1 if not.
    #[command(after_long_help = help::EVENT, after_help = help::MORE)]
    Event(event::EventArgs),
    /// Compare the wanted and found settings of a journal on NATS, change them, or acknowledge lost frames.
    #[command(subcommand, after_long_help = help::JOURNAL, after_help = help::MORE)]
    Journal(journal::JournalCommand),
    /// Ask a role for its readiness; exit code 0 if it is ready, 1 if not.
    Health(health::HealthArgs),
    /// Show the log level of a role on this machine, or change it until the role ends.
    LogLevel(log_level::LogLevelArgs),
}

impl Command {
    async fn run(self) -> CommandResult {
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

/// How long the end waits for a thread that is blocked in a system call, such as a name lookup without an
/// answer.
const LAST_CALLS: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    private_files::restrict_new_files();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            output::eprint_line(format_args!("weir: can't start threads: {error}"));
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
            let code = usage_exit_code(&error);
            output::print_usage(error);
            return finish(code);
        }
    };
    let code = Box::pin(cli.command.run()).await.unwrap_or_else(|failure| {
        failure.report();
        failure.exit_code()
    });
    let code = finish(code);
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
