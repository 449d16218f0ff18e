//! The journal on NATS JetStream, looked at and not set up.

use std::time::Duration;

use weir_event::Source;

use super::{
    checkpoint_bucket::Notebook,
    connection::{self, Connection},
    consumer, dead_letters,
    setting::{JournalSetting, Shrinking},
    streams,
};
use crate::{
    Backlog, DeadLetterStats, DeadLetterStream, JournalError, JournalState, Names, Ownership, Servers,
    Settings, StoredDeadLetter,
};

/// A connection that asks and never changes anything.
#[derive(Debug)]
pub struct Watched {
    connection: Connection,
    settings: Settings,
}

impl Watched {
    pub(crate) async fn connect(
        servers: &Servers,
        settings: Settings,
        patience: Duration,
    ) -> Result<Self, JournalError> {
        let connection = connection::patiently(patience, || Connection::open(servers)).await?;
        Ok(Self { connection, settings })
    }

    pub(crate) async fn backlog(&self, source: Source) -> Result<Backlog, JournalError> {
        consumer::backlog(self.connection.context(), self.names(), source).await
    }

    pub(crate) async fn dead_letters(
        &self,
        graveyard: DeadLetterStream,
        after: u64,
        limit: usize,
    ) -> Result<Vec<StoredDeadLetter>, JournalError> {
        dead_letters::read(self.connection.context(), &self.names().graveyard_stream(graveyard), after, limit)
            .await
    }

    pub(crate) async fn dead_letter_stats(
        &self,
        graveyard: DeadLetterStream,
    ) -> Result<DeadLetterStats, JournalError> {
        dead_letters::stats(self.connection.context(), &self.names().graveyard_stream(graveyard)).await
    }

    /// Every setting, found on the servers and wanted by this process.
    pub(crate) async fn status(&self) -> Result<Vec<JournalSetting>, JournalError> {
        streams::status(self.connection.context(), &self.settings).await
    }

    /// Does what ingest does when it starts; with `shrink` also lowers what is found higher.
    pub(crate) async fn apply(&self, shrink: bool) -> Result<Vec<JournalSetting>, JournalError> {
        let shrinking = if shrink { Shrinking::Allowed } else { Shrinking::Refused };
        streams::set_up(self.connection.context(), &self.settings, shrinking).await
    }

    /// What is noted of the journal, as of now.
    pub(crate) async fn states(&self) -> Result<Vec<JournalState>, JournalError> {
        self.notebook().observe_and_reckon(Vec::new()).await
    }

    /// Sets every loss back to none; returns how many frames were lost.
    pub(crate) async fn forget_losses(&self) -> Result<u64, JournalError> {
        self.notebook().forget_losses().await
    }

    fn notebook(&self) -> Notebook {
        Notebook::new(self.connection.context().clone(), self.names().clone(), Ownership::Guest)
    }

    fn names(&self) -> &Names {
        &self.settings.names
    }
}
