//! `weir up`: every role in one process, over the same gRPC as a fleet, on files where no server is named.

mod demo;
mod free_port;
mod roles;

use clap::Args;
use roles::{Config, Roles};
use weir::process::{
    Host,
    args::{Misconfigured, Mistakes, ProcessArgs, ProcessConfig},
};
use weir_collectors::CollectorArgs;
use weir_edge::EdgeArgs;
use weir_ingest::IngestArgs;
use weir_reporting::ReportingArgs;

use crate::{
    failure::{Outcome, configured},
    hosting,
    place::{FolderArgs, JournalArgs, StoreArgs},
};

const ADMIN_PORT: u16 = 9101;
/// The process's name in logs and traces.
const NAME: &str = "weir";

#[derive(Clone, Debug, Args)]
pub(crate) struct UpCommand {
    /// Show what it does: run on files in a temporary folder, whatever NATS_URL, DATABASE_URL and WEIR_DATA_DIR
    /// say, publish for ten seconds, print the reports, stay up until it is interrupted, and remove the folder.
    /// Takes free ports where the usual ones are taken.
    #[arg(long)]
    demo: bool,
    #[command(flatten)]
    folder: FolderArgs,
    #[command(flatten)]
    journal: JournalArgs,
    #[command(flatten)]
    store: StoreArgs,
    #[command(flatten)]
    edge: EdgeArgs,
    #[command(flatten)]
    ingest: IngestArgs,
    #[command(flatten)]
    collectors: CollectorArgs,
    #[command(flatten)]
    reporting: ReportingArgs,
    #[command(flatten)]
    process: ProcessArgs,
}

impl UpCommand {
    fn check(&self) -> Result<(ProcessConfig, Config), Misconfigured> {
        let mut mistakes = Mistakes::default();
        let (environment, process) = self.process.check(ADMIN_PORT, &mut mistakes);
        let journal = self.journal.check(&mut mistakes);
        let store = self.store.check(&mut mistakes);
        let edge = self.edge.check(environment, &mut mistakes);
        let ingest = self.ingest.check(environment, &mut mistakes);
        let workers = self.collectors.workers(&mut mistakes);
        let reporting = self.reporting.check(environment, &mut mistakes);
        let config = || {
            Some(Config {
                folder: self.folder.weir_data_dir.clone(),
                journal: journal?,
                store: store?,
                edge: edge?,
                ingest: ingest?,
                workers,
                reporting: reporting?,
            })
        };
        configured(process.zip(config()), mistakes)
    }
}

pub(crate) async fn run(command: UpCommand) -> Outcome {
    if command.demo {
        return demo::run(command).await;
    }
    let (process, config) = command.check()?;
    hosting::host(NAME, &process, async |host| start(host, config).await).await
}

async fn start(host: &mut Host, config: Config) -> anyhow::Result<()> {
    let roles = Roles::bind(config, host).await?;
    roles.addresses().log();
    roles.start(host);
    Ok(())
}
