//! The journal on NATS JetStream.

mod acknowledged;
mod api;
mod bury;
mod connection;
mod consume;
mod graveyard;
mod publish;
mod room;
mod streams;
mod watched;

use std::{
    sync::{Arc, atomic::AtomicI64},
    time::Duration,
};

use chrono::{DateTime, Utc};
use connection::Connection;
pub(super) use consume::{Pull, PullVerdict};
use room::Room;
pub(super) use watched::Watched;

use super::{
    AppendError, Backlog, Buried, DeadLetter, Durability, Fill, Graveyard, JournalError, SealedFrame,
    Settings, StoredDeadLetter, durability, subject,
};
use crate::event::Source;

/// A connection to JetStream whose streams and consumers are those of wire.md section 5. Cheap to clone; every
/// clone is the same connection.
#[derive(Clone, Debug)]
pub struct JetStream {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    connection: Connection,
    settings: Settings,
    room: Room,
    /// Of `EVENTS`, when it was last asked.
    identity: AtomicI64,
}

impl JetStream {
    pub(super) async fn connect(
        url: &str,
        settings: Settings,
        patience: Duration,
    ) -> Result<Self, JournalError> {
        let (connection, identity) = connection::patiently(patience, || async {
            let connection = Connection::open(url).await?;
            streams::set_up(connection.context(), &settings).await?;
            let events = api::stream_info(connection.context(), subject::EVENTS).await?;
            Ok((connection, AtomicI64::new(acknowledged::identity(&events))))
        })
        .await?;
        let room = Room::keep(connection.context().clone(), settings.clone());
        Ok(Self { shared: Arc::new(Shared { connection, settings, room, identity }) })
    }

    pub(super) async fn append(&self, frames: &[SealedFrame]) -> Result<(), AppendError> {
        let messages = frames.iter().map(publish::Outgoing::frame);
        let appended = publish::all(&self.shared.connection, messages.collect()).await.map(drop);
        if appended.is_err() {
            // Whatever it was, a look at the stream now may mend it: room is made, a lost stream is made anew.
            self.shared.room.look();
        }
        appended
    }

    pub(super) async fn bury(&self, graveyard: Graveyard, letters: &[DeadLetter]) -> Result<(), AppendError> {
        bury::bury(&self.shared.connection, graveyard, letters).await
    }

    pub(super) async fn dead_letters(
        &self,
        graveyard: Graveyard,
        after: u64,
        limit: usize,
    ) -> Result<Vec<StoredDeadLetter>, JournalError> {
        graveyard::read(self.shared.connection.context(), graveyard, after, limit).await
    }

    pub(super) async fn dead_letter(
        &self,
        graveyard: Graveyard,
        sequence: u64,
    ) -> Result<Option<StoredDeadLetter>, JournalError> {
        graveyard::at(self.shared.connection.context(), graveyard, sequence).await
    }

    pub(super) async fn remove_dead_letters(
        &self,
        graveyard: Graveyard,
        sequences: &[u64],
    ) -> Result<(), JournalError> {
        graveyard::remove(self.shared.connection.context(), graveyard, sequences).await
    }

    pub(super) async fn last_dead_letter(
        &self,
        graveyard: Graveyard,
        subject: &str,
    ) -> Result<Option<StoredDeadLetter>, JournalError> {
        graveyard::last(self.shared.connection.context(), graveyard, subject).await
    }

    pub(super) async fn buried(&self, graveyard: Graveyard) -> Result<Buried, JournalError> {
        graveyard::buried(self.shared.connection.context(), graveyard).await
    }

    pub(super) async fn backlog(&self, source: Source) -> Result<Backlog, JournalError> {
        consume::backlog(self.shared.connection.context(), source).await
    }

    pub(super) async fn oldest_waiting(&self, source: Source) -> Result<Option<DateTime<Utc>>, JournalError> {
        consume::oldest_waiting(self.shared.connection.context(), source).await
    }

    pub(super) async fn consumer(&self, source: Source) -> Result<Pull, JournalError> {
        Pull::open(Arc::clone(&self.shared), source).await
    }

    pub(super) async fn fill(&self) -> Result<Fill, JournalError> {
        let info = api::stream_info(self.shared.connection.context(), subject::EVENTS).await?;
        Ok(Fill {
            bytes: info.state.bytes,
            max_bytes: u64::try_from(info.config.max_bytes).unwrap_or(u64::MAX),
            frames: info.state.messages,
        })
    }

    pub(super) async fn durability(&self) -> Durability {
        durability::of_servers(&self.shared.settings.monitors).await
    }

    pub(super) async fn close(self, deadline: Duration) {
        self.shared.room.stop();
        self.shared.connection.close(deadline).await;
    }
}
