//! The role as a process hosts it: bound early, run later, ready while the database is.

use std::net::SocketAddr;

use prometheus_client::registry::Registry;
use sea_orm::DatabaseConnection;
use tonic::service::RoutesBuilder;
use weir::{
    contract::{
        self,
        reporting::v1::reporting_service_server::{ReportingServiceServer, SERVICE_NAME},
    },
    process::{Latch, RoleReadiness, Stop, grpc::GrpcServer},
};

use crate::{ReportingConfig, metrics::Metrics, service::Service, store::Store};

/// A bound reporting service.
#[derive(Debug)]
pub struct Reporting {
    server: GrpcServer,
    service: Service,
    readiness: RoleReadiness,
    database: Latch,
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
        readiness: RoleReadiness,
    ) -> anyhow::Result<Self> {
        let server = GrpcServer::bind(config.listen).await?;
        let service = Service {
            store: Store::new(database),
            metrics: Metrics::register(registry),
            currency: config.currency.clone(),
            timeout: config.timeout,
        };
        let database = readiness.dependency("database", true);
        Ok(Self { server, service, readiness, database })
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
        let probe = move || {
            let store = store.clone();
            async move { store.probe().await.map_err(|error| error.to_string()) }
        };
        // It ends with `stop`.
        let _sampler = self.database.sample(stop.clone(), probe);
        let mut services = RoutesBuilder::default();
        services.add_service(ReportingServiceServer::new(self.service));
        self.server.serve(services, &[SERVICE_NAME], contract::DESCRIPTORS, self.readiness, stop).await
    }
}
