//! The role: bound early, run later.

use std::net::SocketAddr;

use tonic::service::RoutesBuilder;
use weir::{
    contract::{
        DESCRIPTORS,
        ingest::v1::ingest_service_server::{IngestServiceServer, SERVICE_NAME},
    },
    event::Metrics,
    journal::Journal,
    process::{Latch, RoleReadiness, Stop, grpc::GrpcServer},
};

use crate::{IngestConfig, publish::Publisher, request::MAX_DECODED_BYTES};

/// The ingest role, listening and not serving yet.
#[derive(Debug)]
pub struct Ingest {
    server: GrpcServer,
    publisher: Publisher,
    readiness: RoleReadiness,
    journal: Latch,
}

impl Ingest {
    /// # Errors
    /// The address is taken or not this machine's.
    pub async fn bind(
        config: &IngestConfig,
        journal: Journal,
        metrics: Metrics,
        readiness: RoleReadiness,
    ) -> anyhow::Result<Self> {
        let server = GrpcServer::bind(config.listen).await?;
        let latch = readiness.dependency("journal", true);
        Ok(Self { server, publisher: Publisher { journal, metrics }, readiness, journal: latch })
    }

    /// Where it listens, port 0 resolved.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Serves until `stop`, then answers what is in flight and returns.
    ///
    /// # Errors
    /// The listener fails.
    pub async fn run(self, stop: Stop) -> anyhow::Result<()> {
        let journal = self.publisher.journal.clone();
        let _sampler = self.journal.sample(stop.clone(), move || {
            let journal = journal.clone();
            async move { journal.fill().await.map(|_| ()).map_err(|error| error.to_string()) }
        });
        let mut services = RoutesBuilder::default();
        let service = IngestServiceServer::new(self.publisher).max_decoding_message_size(MAX_DECODED_BYTES);
        services.add_service(service);
        self.server.serve(services, SERVICE_NAME, DESCRIPTORS, self.readiness, stop).await
    }
}
