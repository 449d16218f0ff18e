//! The observer of a journal on NATS JetStream. It sets nothing up when it connects.

use std::time::Duration;

use weir_event::Source;

use super::{
    api::Context,
    checkpoint_bucket::CheckpointBucket,
    connection::{Connection, with_retry},
    consumer, dead_letters,
    setting::{JournalSetting, Shrinking},
    streams,
};
use crate::{
    checkpoint::JournalCheckpoint,
    dead_letter::StoredDeadLetter,
    dead_letter_stream::{DeadLetterStats, DeadLetterStream},
    error::JournalError,
    names::Names,
    servers::Servers,
    settings::{Ownership, Settings},
    usage::Backlog,
};

/// A connection that reads the journal. It changes settings only on [`JetStreamObserver::apply`].
#[derive(Debug)]
pub struct JetStreamObserver {
    connection: Connection,
    settings: Settings,
}

impl JetStreamObserver {
    pub(crate) async fn connect(
        servers: &Servers,
        settings: Settings,
        timeout: Duration,
    ) -> Result<Self, JournalError> {
        let connection = with_retry(timeout, || Connection::open(servers)).await?;
        Ok(Self { connection, settings })
    }

    pub(crate) async fn backlog(&self, source: Source) -> Result<Backlog, JournalError> {
        consumer::backlog(self.context(), self.names(), source).await
    }

    pub(crate) async fn dead_letters(
        &self,
        stream: DeadLetterStream,
        after: u64,
        limit: usize,
    ) -> Result<Vec<StoredDeadLetter>, JournalError> {
        dead_letters::read_page(self.context(), &self.names().dead_letter_stream(stream), after, limit).await
    }

    pub(crate) async fn dead_letter_stats(
        &self,
        stream: DeadLetterStream,
    ) -> Result<DeadLetterStats, JournalError> {
        dead_letters::stats(self.context(), &self.names().dead_letter_stream(stream)).await
    }

    /// Every setting, as the servers have it and as this process wants it.
    pub(crate) async fn settings(&self) -> Result<Vec<JournalSetting>, JournalError> {
        streams::status(self.context(), &self.settings).await
    }

    /// Creates and changes what ingest does when it starts. With `shrink` it also lowers settings that are higher.
    pub(crate) async fn apply(&self, shrink: bool) -> Result<Vec<JournalSetting>, JournalError> {
        let shrinking = if shrink { Shrinking::Allowed } else { Shrinking::Refused };
        streams::set_up(self.context(), &self.settings, shrinking).await
    }

    /// The checkpoints, updated with the contents of the journal now.
    pub(crate) async fn checkpoints(&self) -> Result<Vec<JournalCheckpoint>, JournalError> {
        self.bucket().observe_and_update(Vec::new()).await
    }

    /// Resets every loss to 0. Returns the number of frames that were lost.
    pub(crate) async fn reset_losses(&self) -> Result<u64, JournalError> {
        self.bucket().reset_losses().await
    }

    fn bucket(&self) -> CheckpointBucket {
        CheckpointBucket::new(self.context().clone(), self.names().clone(), Ownership::Guest)
    }

    fn context(&self) -> &Context {
        self.connection.context()
    }

    fn names(&self) -> &Names {
        &self.settings.names
    }
}
