//! The journal on NATS JetStream.

mod api;
mod connection;
mod consume;
mod graveyard;
mod publish;
mod room;
mod streams;

use std::{sync::Arc, time::Duration};

use connection::Connection;
pub(super) use consume::{Pull, PullVerdict};
use room::Room;

use super::{
    AppendError, DeadLetter, Fill, Graveyard, JournalError, SealedFrame, Settings, StoredDeadLetter, subject,
};
use crate::event::Source;

/// A connection to JetStream whose streams and consumers are those of wire.md section 5.
#[derive(Clone, Debug)]
pub struct JetStream {
    connection: Connection,
    settings: Arc<Settings>,
    room: Arc<Room>,
}

impl JetStream {
    pub(super) async fn connect(
        url: &str,
        settings: Settings,
        patience: Duration,
    ) -> Result<Self, JournalError> {
        let connection = connection::patiently(patience, || async {
            let connection = Connection::open(url).await?;
            streams::set_up(connection.context(), &settings).await?;
            Ok(connection)
        })
        .await?;
        let settings = Arc::new(settings);
        let room = Arc::new(Room::keep(connection.context().clone(), Arc::clone(&settings)));
        Ok(Self { connection, settings, room })
    }

    pub(super) async fn append(&self, frames: &[SealedFrame]) -> Result<(), AppendError> {
        let messages = frames.iter().map(publish::Outgoing::frame);
        let appended = publish::all(&self.connection, messages.collect()).await;
        if appended.is_err() {
            // Whatever it was, a look at the stream now may mend it: room is made, a lost stream is made anew.
            self.room.look();
        }
        appended
    }

    pub(super) async fn bury(&self, graveyard: Graveyard, letters: &[DeadLetter]) -> Result<(), AppendError> {
        let messages = letters.iter().map(|letter| publish::Outgoing::letter(graveyard, letter));
        publish::all(&self.connection, messages.collect()).await
    }

    pub(super) async fn dead_letters(
        &self,
        graveyard: Graveyard,
        after: u64,
        limit: usize,
    ) -> Result<Vec<StoredDeadLetter>, JournalError> {
        graveyard::read(self.connection.context(), graveyard, after, limit).await
    }

    pub(super) async fn consumer(&self, source: Source) -> Result<Pull, JournalError> {
        Pull::open(self.connection.clone(), Arc::clone(&self.settings), source).await
    }

    pub(super) async fn fill(&self) -> Result<Fill, JournalError> {
        let info = api::stream_info(self.connection.context(), subject::EVENTS).await?;
        Ok(Fill {
            bytes: info.state.bytes,
            max_bytes: u64::try_from(info.config.max_bytes).unwrap_or(u64::MAX),
            frames: info.state.messages,
        })
    }

    pub(super) async fn close(self, deadline: Duration) {
        self.room.stop();
        self.connection.close(deadline).await;
    }
}
