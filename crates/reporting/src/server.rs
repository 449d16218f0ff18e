//! The role as a process hosts it: bound early, run later, ready while the database is.

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
    grpc::GrpcServer,
};

use crate::{ReportingConfig, demographics::Columns, metrics::Metrics, service::Service, store::Store};

/// Above so many users of a section its groups are estimated from a sample, so that time and memory stay bounded however
/// many they are.
const EXACT_USERS: u64 = 2_000_000;
/// Between two looks whether what is kept in memory is still used.
const LOOK: Duration = Duration::from_secs(60);

/// A bound reporting service.
#[derive(Debug)]
pub struct Reporting {
    server: GrpcServer,
    service: Service,
    readiness: RoleReadiness,
    database: Latch,
    columns: Columns,
    clock: RoleClock,
}

impl Reporting {
    /// Takes the address and registers metrics. `database` is a pool that reads suffice for; it is ready when its
    /// tables are there.
    ///
    /// # Errors
    /// The address is taken or not this machine's.
    pub async fn bind(
        config: &ReportingConfig,
        database: DatabaseConnection,
        registry: &mut Registry,
        clock: ClockMetrics,
        readiness: RoleReadiness,
    ) -> anyhow::Result<Self> {
        Self::bind_exact_to(EXACT_USERS, config, database, registry, clock, readiness).await
    }

    /// The same, estimating groups above so many users of a section.
    ///
    /// # Errors
    /// As of [`Self::bind`].
    pub async fn bind_exact_to(
        exact_users: u64,
        config: &ReportingConfig,
        database: DatabaseConnection,
        registry: &mut Registry,
        clock: ClockMetrics,
        readiness: RoleReadiness,
    ) -> anyhow::Result<Self> {
        let columns = Columns::new(exact_users);
        let server = GrpcServer::bind(config.listen).await?;
        let service = Service {
            store: Store::new(database, config.timeout, columns.clone()),
            metrics: Metrics::register(registry, columns.clone()),
            currency: config.currency.clone(),
            timeout: config.timeout,
        };
        let database = readiness.dependency("database", true);
        let clock = RoleClock::new(clock, &readiness);
        Ok(Self { server, service, readiness, database, columns, clock })
    }

    /// Where it listens, port 0 resolved.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Answers until `stop`, then finishes what is in flight.
    ///
    /// # Errors
    /// The listener fails.
    pub async fn run(self, stop: Stop) -> anyhow::Result<()> {
        let store = self.service.store.clone();
        let asked = store.database().clone();
        self.clock.watch_microseconds("database", stop.clone(), move || {
            let asked = asked.clone();
            async move { weir_database::clock::own_time(&asked).await.map_err(|error| error.to_string()) }
        });
        let watch = SchemaWatch::new(store.database(), Rights::Read);
        let probe = move || {
            let watch = watch.clone();
            async move { watch.check().await }
        };
        // It ends with `stop`.
        let _sampler = self.database.sample(stop.clone(), probe);
        tokio::spawn(drop_unused(self.columns, stop.clone()));
        let mut services = RoutesBuilder::default();
        services.add_service(ReportingServiceServer::new(self.service));
        self.server.serve(services, &[SERVICE_NAME], contract::DESCRIPTORS, self.readiness, stop).await
    }
}

/// Until `stop`.
async fn drop_unused(columns: Columns, stop: Stop) {
    while stop.run_until_cancelled(tokio::time::sleep(LOOK)).await.is_some() {
        columns.drop_unused();
    }
}
