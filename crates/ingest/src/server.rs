//! The ingest role: it binds its listener early and serves later.

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
use weir_event::EventMetrics;
use weir_journal::{Journal, LostFrameMetrics, SettingsLatch};
use weir_process::{
    Latch, OperatorAccess, RoleReadiness, Room, Stop,
    clock::{ClockMetrics, RoleClock},
    connections::Connections,
    grpc::GrpcServer,
};

use crate::{
    IngestConfig,
    admission::Admission,
    dead_letters::DeadLetterHandler,
    durability,
    erasures::ErasureHandler,
    metrics::{self, PromiseGauge, PublishMetrics},
    publish::IngestHandler,
    request::MAX_DECODED_BYTES,
};

/// The time between two reads of the losses in the journal's state.
const LOSS_INTERVAL: Duration = Duration::from_secs(1);

const SERVICES: &[&str] = &[
    ingest_service_server::SERVICE_NAME,
    dead_letter_service_server::SERVICE_NAME,
    erasure_service_server::SERVICE_NAME,
];

/// The metrics that ingest shares with other roles. Cheap to clone; all clones share the same series.
#[derive(Clone, Debug)]
pub struct IngestMetrics {
    /// Counters of events.
    pub events: EventMetrics,
    /// The clock of this process against the journal's.
    pub clock: ClockMetrics,
    /// Frames that the journal lost.
    pub lost: LostFrameMetrics,
}

/// The ingest role with a bound listener. It serves from [`Ingest::run`] on.
#[derive(Debug)]
pub struct Ingest {
    server: GrpcServer,
    handler: IngestHandler,
    access: OperatorAccess,
    room: Room,
    readiness: RoleReadiness,
    journal: Latch,
    durability: (PromiseGauge, Latch),
    lost: (LostFrameMetrics, Latch),
    settings: SettingsLatch,
}

impl Ingest {
    /// Binds the listener, without serving yet. Ingest's own metrics go into `registry`.
    ///
    /// # Errors
    /// The address is in use, or does not belong to this machine.
    pub async fn bind(
        config: &IngestConfig,
        journal: Journal,
        metrics: IngestMetrics,
        registry: &mut Registry,
        readiness: RoleReadiness,
    ) -> anyhow::Result<Self> {
        let server = GrpcServer::bind("ingest", config.listen).await?;
        let room = Room::new(config.max_in_flight_bytes);
        metrics::register_calls(&room, registry);
        let durability = (PromiseGauge::register(registry), readiness.dependency("durability", false));
        let latch = readiness.dependency("journal", true);
        let access = OperatorAccess::of_listener(server.address(), config.operator_token.clone());
        let IngestMetrics { events: metrics, clock, lost } = metrics;
        let clock = RoleClock::new(clock, &readiness);
        let lost = (lost, readiness.dependency("frames_lost", false));
        let settings = SettingsLatch::new(&readiness);
        let publish_metrics = PublishMetrics::register(registry);
        let handler = IngestHandler { journal, metrics, publish_metrics, clock };
        Ok(Self { server, handler, access, room, readiness, journal: latch, durability, lost, settings })
    }

    /// The address of the listener, with the actual port in place of port 0.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Serves until `stop`, then completes the calls in flight and returns.
    ///
    /// # Errors
    /// None: an error of a connection ends that connection alone.
    pub async fn run(self, connections: Connections, stop: Stop) -> anyhow::Result<()> {
        let journal = self.handler.journal.clone();
        let _sampler = self.journal.sample(stop.clone(), move || {
            let journal = journal.clone();
            async move { journal.usage().await.map(|_| ()).map_err(|error| error.to_string()) }
        });
        let (journal, clock) = (self.handler.journal.clone(), self.handler.clock.clone());
        journal.watch_clock(&clock, &stop);
        self.settings.watch(journal.clone(), stop.clone());
        tokio::spawn(report_losses(journal, self.lost, stop.clone()));
        let (gauge, latch) = self.durability;
        let watching = durability::watch(self.handler.journal.clone(), gauge, latch, stop.clone());
        tokio::spawn(watching.in_current_span());
        let mut services = RoutesBuilder::default();
        let erasures = ErasureHandler { journal: self.handler.journal.clone(), access: self.access.clone() };
        services.add_service(ErasureServiceServer::new(erasures));
        let letters = DeadLetterHandler {
            journal: self.handler.journal.clone(),
            metrics: self.handler.metrics.clone(),
            access: self.access,
            stop: stop.clone(),
        };
        services.add_service(DeadLetterServiceServer::new(letters));
        let metrics = self.handler.metrics.clone();
        let service = IngestServiceServer::new(self.handler).max_decoding_message_size(MAX_DECODED_BYTES);
        services.add_service(Admission::new(service, self.room, metrics));
        self.server.serve(services, SERVICES, DESCRIPTORS, self.readiness, &connections, stop).await
    }
}

/// Reports the frames that the journal lost, until `stop`. The embedded journal keeps no record of losses; its
/// collectors report those that they find.
async fn report_losses(journal: Journal, (lost, latch): (LostFrameMetrics, Latch), stop: Stop) {
    latch.set(Ok(()));
    if matches!(journal, Journal::Embedded(_)) {
        return;
    }
    while stop.run_until_cancelled(tokio::time::sleep(LOSS_INTERVAL)).await.is_some() {
        lost.set(&journal.last_checkpoints(), &latch);
    }
}
