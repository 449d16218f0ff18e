//! `weir edge`: webhooks and reports over HTTP, in front of ingest and reporting.

use clap::Args;
use tracing::info;
use weir_edge::{Edge, EdgeArgs, EdgeConfig, Upstreams};
use weir_event::EventMetrics;
use weir_process::{
    Host,
    args::{ConfigErrors, Misconfigured, ProcessArgs, ProcessConfig},
};

use crate::{
    exit::{CommandResult, configured},
    runner,
};

const ADMIN_PORT: u16 = 9101;

#[derive(Debug, Args)]
pub(crate) struct EdgeCommand {
    #[command(flatten)]
    edge: EdgeArgs,
    #[command(flatten)]
    process: ProcessArgs,
}

struct Config {
    process: ProcessConfig,
    edge: EdgeConfig,
    upstreams: Upstreams,
}

impl EdgeCommand {
    fn check(&self) -> Result<Config, Misconfigured> {
        let mut errors = ConfigErrors::default();
        let (environment, process) = self.process.check(ADMIN_PORT, &mut errors);
        let edge = self.edge.check(environment, &mut errors);
        let upstreams = self.edge.check_upstreams(&mut errors);
        let config = || Some(Config { process: process?, edge: edge?, upstreams: upstreams? });
        configured(config(), errors)
    }
}

pub(crate) async fn run(command: EdgeCommand) -> CommandResult {
    let Config { process, edge, upstreams } = command.check()?;
    runner::host("edge", &process, async |host| start(host, &edge, &upstreams).await).await
}

async fn start(host: &mut Host, config: &EdgeConfig, upstreams: &Upstreams) -> anyhow::Result<()> {
    let metrics = EventMetrics::register(host.registry());
    let edge = bind(host, config, upstreams, metrics).await?;
    info!(address = %edge.address(), "edge serves HTTP");
    let connections = host.connections();
    host.add("edge", |stop| edge.run(connections, stop));
    Ok(())
}

/// Binds the edge as a role of its host.
pub(crate) async fn bind(
    host: &mut Host,
    config: &EdgeConfig,
    upstreams: &Upstreams,
    metrics: EventMetrics,
) -> anyhow::Result<Edge> {
    let (readiness, shared_registry) = (host.readiness("edge"), host.shared_registry());
    let refused = host.refused_requests();
    Edge::bind(config, upstreams, metrics, readiness, host.registry(), shared_registry, refused).await
}
