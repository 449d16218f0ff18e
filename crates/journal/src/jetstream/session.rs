//! The session with the servers: the connection, the state that belongs to it, and the owner's maintenance.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use weir_event::Source;

use super::{
    api,
    checkpoint_bucket::CheckpointBucket,
    connection::Connection,
    maintenance::{Maintenance, MaintenanceTask},
    message_limits::MessageLimits,
    observation, streams,
};
use crate::{
    error::JournalError,
    servers::Servers,
    settings::{Ownership, Settings},
};

/// A connection to the journal whose streams and consumers exist.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) connection: Connection,
    pub(super) settings: Settings,
    pub(super) checkpoints: Arc<CheckpointBucket>,
    /// `None` in a guest.
    pub(super) maintenance: Option<Maintenance>,
    /// The identity of `EVENTS` when it was read last.
    identity: AtomicI64,
    /// The acknowledgement deadline of the consumers.
    pub(super) ack_wait: Duration,
    pub(super) limits: Arc<MessageLimits>,
}

impl Session {
    /// Connects once, and prepares or checks the streams and consumers.
    pub(super) async fn open(servers: &Servers, settings: &Settings) -> Result<Self, JournalError> {
        let connection = Connection::open(servers).await?;
        let (context, names) = (connection.context(), &settings.names);
        streams::prepare(context, settings).await?;
        let events = names.events_stream();
        let info = api::stream_info(context, &events).await?.info;
        let mut ack_wait = Duration::MAX;
        for source in Source::ALL {
            let consumer = api::consumer_info(context, &events, &names.consumer(*source)).await?;
            ack_wait = ack_wait.min(consumer.config.ack_wait);
        }
        let limits = Arc::new(MessageLimits::default());
        limits.refresh(context, names).await?;
        let checkpoints = Arc::new(CheckpointBucket::new(context.clone(), names.clone(), settings.ownership));
        let maintenance = (settings.ownership == Ownership::Owner).then(|| {
            let (context, settings) = (context.clone(), settings.clone());
            let (checkpoints, limits) = (Arc::clone(&checkpoints), Arc::clone(&limits));
            Maintenance::start(MaintenanceTask { context, settings, checkpoints, limits })
        });
        Ok(Self {
            identity: AtomicI64::new(observation::identity(&info)),
            settings: settings.clone(),
            connection,
            checkpoints,
            maintenance,
            ack_wait,
            limits,
        })
    }

    pub(super) fn identity(&self) -> i64 {
        self.identity.load(Ordering::Relaxed)
    }

    pub(super) fn set_identity(&self, identity: i64) {
        self.identity.store(identity, Ordering::Relaxed);
    }

    /// Starts a maintenance round now, if this process owns the journal.
    pub(super) fn request_maintenance(&self) {
        if let Some(maintenance) = &self.maintenance {
            maintenance.request_round();
        }
    }
}
