//! `weir ingest`: the gate as a gRPC service, in front of a JetStream journal.

use anyhow::Context as _;
use clap::Args;
use tracing::info;
use weir_event::EventMetrics;
use weir_ingest::{Ingest, IngestArgs, IngestConfig, IngestMetrics};
use weir_journal::{Journal, LostFrameMetrics};
use weir_process::{
    Host, RoleReadiness,
    args::{ConfigErrors, Misconfigured, OperatorArgs, ProcessArgs, ProcessConfig},
    clock::ClockMetrics,
};

use crate::{
    exit::{CommandResult, configured},
    runner,
    storage::{JournalArgs, JournalConfig, MonitorArgs},
};

const ADMIN_PORT: u16 = 9102;

#[derive(Debug, Args)]
pub(crate) struct IngestCommand {
    #[command(flatten)]
    ingest: IngestArgs,
    #[command(flatten)]
    operator: OperatorArgs,
    #[command(flatten)]
    journal: JournalArgs,
    #[command(flatten)]
    monitor: MonitorArgs,
    #[command(flatten)]
    process: ProcessArgs,
}

struct Config {
    process: ProcessConfig,
    journal: JournalConfig,
    ingest: IngestConfig,
}

impl IngestCommand {
    fn check(&self) -> Result<Config, Misconfigured> {
        let mut errors = ConfigErrors::default();
        let (environment, process) = self.process.check(ADMIN_PORT, &mut errors);
        let journal = self.journal.require(&mut errors);
        let monitors = self.monitor.check(&mut errors);
        let ingest = self.ingest.check(environment, &self.operator, &mut errors);
        let config =
            || Some(Config { process: process?, journal: journal?.monitored(monitors?), ingest: ingest? });
        configured(config(), errors)
    }
}

pub(crate) async fn run(args: IngestCommand) -> CommandResult {
    let Config { process, journal, ingest } = args.check()?;
    runner::host("ingest", &process, async |host| start(host, journal, &ingest).await).await
}

async fn start(host: &mut Host, journal: JournalConfig, config: &IngestConfig) -> anyhow::Result<()> {
    let metrics = IngestMetrics {
        events: EventMetrics::register(host.registry()),
        clock: ClockMetrics::register(host.registry()),
        lost: LostFrameMetrics::register(host.registry()),
    };
    let readiness = host.readiness("ingest");
    let waiting = readiness.wait_for("journal");
    let journal = journal.open(None, &[&waiting]).await?;
    let ingest = bind(host, config, journal.clone(), metrics, readiness).await?;
    info!(address = %ingest.address(), "ingest serves gRPC");
    let connections = host.connections();
    host.add("ingest", |stop| ingest.run(connections, stop));
    runner::keep_journal(host, journal, None);
    Ok(())
}

/// Binds ingest as a role of its host.
pub(crate) async fn bind(
    host: &mut Host,
    config: &IngestConfig,
    journal: Journal,
    metrics: IngestMetrics,
    readiness: RoleReadiness,
) -> anyhow::Result<Ingest> {
    let bound = Ingest::bind(config, journal, metrics, host.registry(), readiness).await;
    bound.context("ingest can't start (INGEST_LISTEN)")
}
