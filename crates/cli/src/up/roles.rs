//! Every role of `weir up`. They are bound back to front, so that each finds the roles that it calls, and
//! started front to back.

use std::{net::SocketAddr, path::PathBuf};

use anyhow::Context as _;
use tracing::info;
use url::Url;
use weir_collectors::{Collector, CollectorMetrics, CollectorSettings, Retention};
use weir_database::register_pools;
use weir_edge::{Edge, EdgeConfig, Upstreams};
use weir_event::{EventMetrics, Source};
use weir_ingest::{Ingest, IngestConfig, IngestMetrics};
use weir_journal::{Journal, LostFrameMetrics};
use weir_process::{Host, Latch, clock::ClockMetrics};
use weir_reporting::{Reporting, ReportingConfig};

use crate::{
    client::reachable,
    edge, ingest, reporting, runner,
    storage::{DataFolder, JournalConfig, StoreLocation, store},
};

/// The checked settings of the roles.
pub(super) struct Config {
    /// The data folder.
    pub(super) folder: PathBuf,
    pub(super) journal: JournalConfig,
    pub(super) store: StoreLocation,
    pub(super) edge: EdgeConfig,
    pub(super) ingest: IngestConfig,
    /// The number of workers per source.
    pub(super) workers: Option<usize>,
    pub(super) retention: Retention,
    pub(super) reporting: ReportingConfig,
}

/// Every role, bound and not serving yet.
pub(super) struct Roles {
    edge: Edge,
    ingest: Ingest,
    collectors: Collector,
    reporting: Reporting,
    journal: Journal,
    folder: Option<DataFolder>,
}

/// The addresses by which this machine reaches the roles.
#[derive(Clone, Copy, Debug)]
pub(super) struct Addresses {
    pub(super) edge: SocketAddr,
    pub(super) ingest: SocketAddr,
    pub(super) reporting: SocketAddr,
}

impl Roles {
    /// # Errors
    /// A server stays away, the data folder is locked, or an address is taken.
    pub(super) async fn bind(config: Config, host: &mut Host) -> anyhow::Result<Self> {
        let metrics = EventMetrics::register(host.registry());
        let clock = ClockMetrics::register(host.registry());
        let lost = LostFrameMetrics::register(host.registry());
        let (events, clocks, losses) = (metrics.clone(), clock.clone(), lost.clone());
        let collector_metrics = CollectorMetrics::register(host.registry(), events, clocks, losses);
        let on_files = config.journal.in_folder() || config.store.in_folder();
        let folder = on_files.then(|| DataFolder::lock(&config.folder)).transpose()?;
        let store_url = config.store.url(&config.folder);
        let settings = CollectorSettings::new(config.workers, &store_url, config.retention);
        let [ingesting, collecting, reporting] =
            ["ingest", "collectors", "reporting"].map(|role| host.readiness(role));
        let opened = [&ingesting, &collecting].map(|role| role.wait_for("journal"));
        let waiting = [&collecting, &reporting].map(|role| role.wait_for("database"));
        let latches: Vec<&Latch> = opened.iter().collect();
        let journal = config.journal.open(folder.as_ref(), &latches).await?;
        opened.iter().for_each(|latch| latch.set(Ok(())));

        let waiting: Vec<&Latch> = waiting.iter().collect();
        let writing = store::open_migrated(&store_url, &waiting).await?;
        let reading = store::open_for_reports(&store_url, config.reporting.timeout, &waiting).await?;
        register_pools(host.registry(), &[("collectors", &writing), ("reporting", &reading)]);

        let reporting = reporting::bind(host, &config.reporting, reading, clock.clone(), reporting).await?;
        let collectors =
            Collector::new(Source::ALL, journal.clone(), writing, collector_metrics, &collecting, settings);
        let ingest_metrics = IngestMetrics { events: metrics.clone(), clock, lost };
        let ingest = ingest::bind(host, &config.ingest, journal.clone(), ingest_metrics, ingesting).await?;
        let upstreams = Upstreams {
            ingest: vec![grpc_url(ingest.address())?],
            reporting: vec![grpc_url(reporting.address())?],
        };
        let edge = edge::bind(host, &config.edge, &upstreams, metrics).await?;
        Ok(Self { edge, ingest, collectors, reporting, journal, folder })
    }

    pub(super) fn addresses(&self) -> Addresses {
        Addresses {
            edge: reachable(self.edge.address()),
            ingest: reachable(self.ingest.address()),
            reporting: reachable(self.reporting.address()),
        }
    }

    /// Starts the roles in the order in which an event passes them. They end in the same order.
    pub(super) fn start(self, host: &mut Host) {
        let Self { edge, ingest, collectors, reporting, journal, folder } = self;
        let connections = host.connections();
        host.add("edge", |stop| edge.run(connections.clone(), stop));
        host.add("ingest", |stop| ingest.run(connections.clone(), stop));
        host.add("collectors", |stop| collectors.run(stop));
        host.add("reporting", |stop| reporting.run(connections, stop));
        runner::keep_journal(host, journal, folder);
    }
}

impl Addresses {
    /// Logs the addresses.
    pub(super) fn log(&self) {
        let Self { edge, ingest, reporting } = self;
        info!(url = %format_args!("http://{edge}/events"), "the edge accepts webhooks");
        info!(url = %format_args!("http://{edge}/reports/events"), "the edge serves reports");
        info!(url = %format_args!("http://{edge}/api"), "the edge describes its API");
        info!(address = %ingest, "ingest serves gRPC");
        info!(address = %reporting, "reporting serves gRPC");
    }
}

/// The URL of the gRPC server that listens on `address`.
pub(super) fn grpc_url(address: SocketAddr) -> anyhow::Result<Url> {
    Url::parse(&format!("http://{}", reachable(address))).context("the address does not make a URL")
}
