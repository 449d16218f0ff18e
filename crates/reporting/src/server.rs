//! The server of the reporting role: binds early, runs later, and is ready while the database is.

use std::{net::SocketAddr, time::Duration};

use prometheus_client::registry::Registry;
use sea_orm::DatabaseConnection;
use tonic::service::RoutesBuilder;
use weir::contract::{
    self,
    reporting::v1::reporting_service_server::{ReportingServiceServer, SERVICE_NAME},
};
use weir_database::{Rights, SchemaWatch};
use weir_process::{
    Latch, RoleReadiness, Stop,
    clock::{ClockMetrics, RoleClock},
    connections::Connections,
    grpc::GrpcServer,
};

use crate::{
    ReportingConfig, demographics::AttributeCache, metrics::ReportMetrics, revenue::RankingCache,
    service::ReportingHandler, store::ReportStore,
};

/// The pause between two checks whether the attribute cache is still used.
const CACHE_CHECK: Duration = Duration::from_secs(60);

/// The sizes up to which answers are exact, so that time and memory stay bounded above them.
#[derive(Clone, Copy, Debug)]
pub struct ExactLimits {
    /// Where a section has more users, its groups are estimated from a sample.
    pub users: u64,
    /// Where a range has more different campaigns, their list may be bounded.
    pub campaigns: u64,
}

impl Default for ExactLimits {
    /// Those of the protocol.
    fn default() -> Self {
        Self { users: 2_000_000, campaigns: 1_000_000 }
    }
}

/// A bound reporting service.
#[derive(Debug)]
pub struct Reporting {
    server: GrpcServer,
    service: ReportingHandler,
    readiness: RoleReadiness,
    database: Latch,
    clock: RoleClock,
}

impl Reporting {
    /// Takes the address and registers metrics. `database` is a pool for reports; the service is ready when the tables
    /// of the database exist.
    ///
    /// # Errors
    /// The address is taken, or it is not an address of this machine.
    pub async fn bind(
        config: &ReportingConfig,
        database: DatabaseConnection,
        registry: &mut Registry,
        clock: ClockMetrics,
        readiness: RoleReadiness,
    ) -> anyhow::Result<Self> {
        Self::bind_with_limits(ExactLimits::default(), config, database, registry, clock, readiness).await
    }

    /// [`Self::bind`] with other limits of exact answers.
    ///
    /// # Errors
    /// See [`Self::bind`].
    pub async fn bind_with_limits(
        limits: ExactLimits,
        config: &ReportingConfig,
        database: DatabaseConnection,
        registry: &mut Registry,
        clock: ClockMetrics,
        readiness: RoleReadiness,
    ) -> anyhow::Result<Self> {
        let server = GrpcServer::bind("reporting", config.listen).await?;
        let attributes = AttributeCache::new(limits.users);
        attributes.register(registry);
        let rankings = RankingCache::new(limits.campaigns);
        rankings.register(registry);
        let service = ReportingHandler {
            store: ReportStore::new(database, config.timeout),
            attributes,
            rankings,
            metrics: ReportMetrics::register(registry),
            currency: config.currency.clone(),
            timeout: config.timeout,
        };
        let database = readiness.dependency("database", true);
        let clock = RoleClock::new(clock, &readiness);
        Ok(Self { server, service, readiness, database, clock })
    }

    /// The address of the listener, with port 0 resolved.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Serves until `stop`, then finishes the calls in flight.
    ///
    /// # Errors
    /// None: an error of a connection ends that connection alone.
    pub async fn run(self, connections: Connections, stop: Stop) -> anyhow::Result<()> {
        let database = self.service.store.database().clone();
        let watch = SchemaWatch::new(&database, Rights::Read);
        self.clock.watch_microseconds("database", stop.clone(), move || {
            let database = database.clone();
            async move {
                weir_database::clock::server_time(&database).await.map_err(|error| error.to_string())
            }
        });
        let probe = move || {
            let watch = watch.clone();
            async move { watch.check().await }
        };
        // The sampler ends with `stop`.
        let _sampler = self.database.sample(stop.clone(), probe);
        tokio::spawn(drop_unused(self.service.attributes.clone(), stop.clone()));
        let mut services = RoutesBuilder::default();
        services.add_service(ReportingServiceServer::new(self.service));
        let Self { server, readiness, .. } = self;
        server.serve(services, &[SERVICE_NAME], contract::DESCRIPTORS, readiness, &connections, stop).await
    }
}

/// Drops an unused cache, until `stop`.
async fn drop_unused(attributes: AttributeCache, stop: Stop) {
    while stop.run_until_cancelled(tokio::time::sleep(CACHE_CHECK)).await.is_some() {
        attributes.drop_unused();
    }
}
