//! `weir reporting`: the reports as a gRPC service over the store.

use anyhow::Context as _;
use clap::Args;
use sea_orm::DatabaseConnection;
use tracing::info;
use weir_database::{DatabaseUrl, register_pools};
use weir_process::{
    Host, RoleReadiness,
    args::{ConfigErrors, Misconfigured, ProcessArgs, ProcessConfig},
    clock::ClockMetrics,
};
use weir_reporting::{Reporting, ReportingArgs, ReportingConfig};

use crate::{
    exit::{CommandResult, configured},
    runner,
    storage::{StoreArgs, store},
};

const ADMIN_PORT: u16 = 9105;

#[derive(Debug, Args)]
pub(crate) struct ReportingCommand {
    #[command(flatten)]
    reporting: ReportingArgs,
    #[command(flatten)]
    store: StoreArgs,
    #[command(flatten)]
    process: ProcessArgs,
}

struct Config {
    process: ProcessConfig,
    store: DatabaseUrl,
    reporting: ReportingConfig,
}

impl ReportingCommand {
    fn check(&self) -> Result<Config, Misconfigured> {
        let mut errors = ConfigErrors::default();
        let (environment, process) = self.process.check(ADMIN_PORT, &mut errors);
        let store = self.store.require(&mut errors);
        let reporting = self.reporting.check(environment, &mut errors);
        let config = || Some(Config { process: process?, store: store?, reporting: reporting? });
        configured(config(), errors)
    }
}

pub(crate) async fn run(args: ReportingCommand) -> CommandResult {
    let Config { process, store, reporting } = args.check()?;
    runner::host("reporting", &process, async |host| start(host, &store, &reporting).await).await
}

async fn start(host: &mut Host, url: &DatabaseUrl, config: &ReportingConfig) -> anyhow::Result<()> {
    let readiness = host.readiness("reporting");
    let waiting = readiness.wait_for("database");
    let store = store::open_for_reports(url, config.timeout, &[&waiting]).await?;
    register_pools(host.registry(), &[("reporting", &store)]);
    let clock = ClockMetrics::register(host.registry());
    let reporting = bind(host, config, store, clock, readiness).await?;
    info!(address = %reporting.address(), "reporting serves gRPC");
    let connections = host.connections();
    host.add("reporting", |stop| reporting.run(connections, stop));
    Ok(())
}

/// Binds reporting as a role of its host; `store` is migrated.
pub(crate) async fn bind(
    host: &mut Host,
    config: &ReportingConfig,
    store: DatabaseConnection,
    clock: ClockMetrics,
    readiness: RoleReadiness,
) -> anyhow::Result<Reporting> {
    let bound = Reporting::bind(config, store, host.registry(), clock, readiness).await;
    bound.context("reporting can't start (REPORTING_LISTEN)")
}
