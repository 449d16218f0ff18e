//! The arguments of `weir up`: those of every role.

use clap::Args;
use weir_collectors::CollectorArgs;
use weir_edge::EdgeArgs;
use weir_ingest::IngestArgs;
use weir_process::args::{ConfigErrors, Misconfigured, OperatorArgs, ProcessArgs, ProcessConfig};
use weir_reporting::ReportingArgs;

use super::roles::Config;
use crate::{
    exit::configured,
    storage::{FolderArgs, JournalArgs, MonitorArgs, StoreArgs},
};

pub(super) const ADMIN_PORT: u16 = 9101;
/// The name of the process in logs and traces.
pub(super) const NAME: &str = "weir";

#[derive(Clone, Debug, Args)]
pub(crate) struct UpCommand {
    /// Demonstrate the system: run on files in a temporary folder, regardless of NATS_URL, DATABASE_URL and
    /// WEIR_DATA_DIR, publish for ten seconds, print the reports, run until an interrupt, and remove the
    /// folder. Takes free ports if the usual ones are taken.
    #[arg(long)]
    pub(super) demo: bool,
    #[command(flatten)]
    pub(super) folder: FolderArgs,
    #[command(flatten)]
    pub(super) journal: JournalArgs,
    #[command(flatten)]
    pub(super) monitor: MonitorArgs,
    #[command(flatten)]
    pub(super) store: StoreArgs,
    #[command(flatten)]
    pub(super) edge: EdgeArgs,
    #[command(flatten)]
    pub(super) ingest: IngestArgs,
    #[command(flatten)]
    pub(super) operator: OperatorArgs,
    #[command(flatten)]
    pub(super) collectors: CollectorArgs,
    #[command(flatten)]
    pub(super) reporting: ReportingArgs,
    #[command(flatten)]
    pub(super) process: ProcessArgs,
}

impl UpCommand {
    pub(super) fn check(&self) -> Result<(ProcessConfig, Config), Misconfigured> {
        let mut errors = ConfigErrors::default();
        let (environment, process) = self.process.check(ADMIN_PORT, &mut errors);
        let journal = self.journal.check(&mut errors);
        let monitors = self.monitor.check(&mut errors);
        let store = self.store.check(&mut errors);
        let edge = self.edge.check(environment, &mut errors);
        let ingest = self.ingest.check(environment, &self.operator, &mut errors);
        let workers = self.collectors.workers(&mut errors);
        let retention = self.collectors.retention(&mut errors);
        let reporting = self.reporting.check(environment, &mut errors);
        let config = || {
            Some(Config {
                folder: self.folder.weir_data_dir.clone(),
                journal: journal?.monitored(monitors?),
                store: store?,
                edge: edge?,
                ingest: ingest?,
                workers,
                retention: retention?,
                reporting: reporting?,
            })
        };
        configured(process.zip(config()), errors)
    }
}

#[cfg(test)]
mod tests {
    use clap::{Args as _, Command, FromArgMatches as _, builder::Resettable};

    use super::*;

    /// Checks a command line without the environment of the tests.
    fn check(arguments: &[&str]) -> Result<Config, String> {
        let line = UpCommand::augment_args(Command::new("up")).mut_args(|arg| arg.env(Resettable::Reset));
        let matches = line.get_matches_from(["up"].iter().chain(arguments));
        let command = UpCommand::from_arg_matches(&matches).unwrap();
        command.check().map(|(_, config)| config).map_err(|errors| errors.to_string())
    }

    #[test]
    fn either_server_can_be_set_alone() {
        let nats = check(&["--nats-url", "nats://127.0.0.1:4222"]).unwrap();
        assert!(!nats.journal.in_folder() && nats.store.in_folder());
        let postgres = check(&["--database-url", "postgres://weir@127.0.0.1/weir"]).unwrap();
        assert!(postgres.journal.in_folder() && !postgres.store.in_folder());
    }

    #[test]
    fn all_mistakes_are_reported_at_once() {
        let message = check(&[
            "--app-env=home",
            "--nats-url=http://127.0.0.1",
            "--journal-max-bytes=much",
            "--journal-ack-wait-ms=1",
            "--journal-replicas=2",
            "--nats-monitor-url=nats://127.0.0.1",
            "--ingest-max-in-flight-bytes=1024",
            "--database-url=mysql://127.0.0.1",
            "--edge-listen=nowhere:x",
            "--ingest-listen=nowhere:x",
            "--reporting-listen=nowhere:x",
            "--default-currency=dollars",
            "--collector-workers=many",
            "--event-retention=long",
            "--event-key-retention=longer",
        ]);
        let message = message.err().unwrap();
        for variable in [
            "APP_ENV",
            "NATS_URL",
            "JOURNAL_MAX_BYTES",
            "JOURNAL_ACK_WAIT_MS",
            "JOURNAL_REPLICAS",
            "NATS_MONITOR_URL",
            "INGEST_MAX_IN_FLIGHT_BYTES",
            "DATABASE_URL",
            "EDGE_LISTEN",
            "INGEST_LISTEN",
            "REPORTING_LISTEN",
            "DEFAULT_CURRENCY",
            "COLLECTOR_WORKERS",
            "EVENT_RETENTION",
            "EVENT_KEY_RETENTION",
        ] {
            assert!(message.contains(variable), "{variable} is missing in {message}");
        }
    }
}
