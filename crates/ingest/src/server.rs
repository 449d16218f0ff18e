//! The role: bound early, run later.

use std::{net::SocketAddr, time::Duration};

use prometheus_client::registry::Registry;
use tonic::service::RoutesBuilder;
use tracing::Instrument as _;
use weir::contract::{
    DESCRIPTORS,
    ingest::v1::{
        dead_letter_service_server::{self, DeadLetterServiceServer},
        erasure_service_server::{self, ErasureServiceServer},
        ingest_service_server::{self, IngestServiceServer},
    },
};
use weir_event::Metrics;
use weir_journal::{Journal, LostFrameMetrics, SettingsLatch};
use weir_process::{
    Budget, Latch, OperatorAccess, RoleReadiness, Stop,
    clock::{ClockMetrics, RoleClock},
    grpc::GrpcServer,
};

use crate::{
    IngestConfig,
    admission::Admission,
    dead_letters::DeadLetters,
    durability,
    erasures::Erasures,
    metrics::{self, PromiseGauge},
    publish::Publisher,
    publishing::PublishMetrics,
    request::MAX_DECODED_BYTES,
};

/// Between two looks at what was noted of the journal.
const LOOK_EVERY: Duration = Duration::from_secs(1);

const SERVICES: &[&str] = &[
    ingest_service_server::SERVICE_NAME,
    dead_letter_service_server::SERVICE_NAME,
    erasure_service_server::SERVICE_NAME,
];

/// What ingest shows together with other roles. Cheap to clone; every clone shows into the same series.
#[derive(Clone, Debug)]
pub struct IngestMetrics {
    pub events: Metrics,
    pub clock: ClockMetrics,
    pub lost: LostFrameMetrics,
}

/// The ingest role, listening and not serving yet.
#[derive(Debug)]
pub struct Ingest {
    server: GrpcServer,
    publisher: Publisher,
    access: OperatorAccess,
    budget: Budget,
    readiness: RoleReadiness,
    journal: Latch,
    durability: (PromiseGauge, Latch),
    lost: (LostFrameMetrics, Latch),
    settings: SettingsLatch,
}

impl Ingest {
    /// Listens, without answering yet. `registry` takes ingest's own metrics.
    ///
    /// # Errors
    /// The address is taken or not this machine's.
    pub async fn bind(
        config: &IngestConfig,
        journal: Journal,
        metrics: IngestMetrics,
        registry: &mut Registry,
        readiness: RoleReadiness,
    ) -> anyhow::Result<Self> {
        let server = GrpcServer::bind(config.listen).await?;
        let budget = Budget::new(config.max_in_flight_bytes);
        metrics::register_calls(&budget, registry);
        let durability = (PromiseGauge::register(registry), readiness.dependency("durability", false));
        let latch = readiness.dependency("journal", true);
        let access = OperatorAccess::of_listener(server.address(), config.operator_token.clone());
        let IngestMetrics { events: metrics, clock, lost } = metrics;
        let clock = RoleClock::new(clock, &readiness);
        let lost = (lost, readiness.dependency("frames_lost", false));
        let settings = SettingsLatch::new(&readiness);
        let publishing = PublishMetrics::register(registry);
        let publisher = Publisher { journal, metrics, publishing, clock };
        Ok(Self { server, publisher, access, budget, readiness, journal: latch, durability, lost, settings })
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
            async move { journal.usage().await.map(|_| ()).map_err(|error| error.to_string()) }
        });
        let (journal, clock) = (self.publisher.journal.clone(), self.publisher.clock.clone());
        journal.watch_clock(&clock, &stop);
        self.settings.watch(journal.clone(), stop.clone());
        tokio::spawn(show_losses(journal, self.lost, stop.clone()));
        let (gauge, latch) = self.durability;
        let watching = durability::watch(self.publisher.journal.clone(), gauge, latch, stop.clone());
        tokio::spawn(watching.in_current_span());
        let mut services = RoutesBuilder::default();
        let erasures = Erasures { journal: self.publisher.journal.clone(), access: self.access.clone() };
        services.add_service(ErasureServiceServer::new(erasures));
        let letters =
            DeadLetters { publisher: self.publisher.clone(), access: self.access, stop: stop.clone() };
        services.add_service(DeadLetterServiceServer::new(letters));
        let metrics = self.publisher.metrics.clone();
        let service = IngestServiceServer::new(self.publisher).max_decoding_message_size(MAX_DECODED_BYTES);
        services.add_service(Admission::new(service, self.budget, metrics));
        self.server.serve(services, SERVICES, DESCRIPTORS, self.readiness, stop).await
    }
}

/// Until `stop`. A journal on files notes nothing itself: its collectors show what they noted.
async fn show_losses(journal: Journal, (lost, latch): (LostFrameMetrics, Latch), stop: Stop) {
    latch.set(Ok(()));
    if matches!(journal, Journal::Embedded(_)) {
        return;
    }
    while stop.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_some() {
        lost.set(&journal.last_checkpoints(), &latch);
    }
}
