//! The role: bound early, run later.

use std::net::SocketAddr;

use tonic::service::RoutesBuilder;
use weir::{
    contract::{
        DESCRIPTORS,
        ingest::v1::{
            dead_letter_service_server::{self, DeadLetterServiceServer},
            ingest_service_server::{self, IngestServiceServer},
        },
    },
    event::Metrics,
    journal::Journal,
    process::{Latch, OperatorAccess, RoleReadiness, Stop, grpc::GrpcServer},
};

use crate::{IngestConfig, dead_letters::DeadLetters, publish::Publisher, request::MAX_DECODED_BYTES};

const SERVICES: &[&str] = &[ingest_service_server::SERVICE_NAME, dead_letter_service_server::SERVICE_NAME];

/// The ingest role, listening and not serving yet.
#[derive(Debug)]
pub struct Ingest {
    server: GrpcServer,
    publisher: Publisher,
    access: OperatorAccess,
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
        let access = OperatorAccess::of_listener(server.address(), config.operator_token.clone());
        Ok(Self { server, publisher: Publisher { journal, metrics }, access, readiness, journal: latch })
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
        let letters =
            DeadLetters { publisher: self.publisher.clone(), access: self.access, stop: stop.clone() };
        services.add_service(DeadLetterServiceServer::new(letters));
        let service = IngestServiceServer::new(self.publisher).max_decoding_message_size(MAX_DECODED_BYTES);
        services.add_service(service);
        self.server.serve(services, SERVICES, DESCRIPTORS, self.readiness, stop).await
    }
}
