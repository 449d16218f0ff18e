//! The observer of a journal that other processes own. It locks nothing, and changes settings only on
//! [`Observer::apply`].

use std::{path::Path, time::Duration};

use weir_event::Source;

use crate::{
    checkpoint::JournalCheckpoint,
    dead_letter::StoredDeadLetter,
    dead_letter_stream::{DeadLetterStats, DeadLetterStream},
    embedded::ReadOnlyFile,
    error::JournalError,
    jetstream::{JetStreamObserver, JournalSetting},
    servers::Servers,
    settings::Settings,
    usage::Backlog,
};

/// A journal, read beside the processes that use it.
#[derive(Debug)]
pub enum Observer {
    JetStream(Box<JetStreamObserver>),
    Embedded(ReadOnlyFile),
}

impl Observer {
    /// Connects to JetStream, and retries for up to `timeout` while no server answers.
    ///
    /// # Errors
    /// [`JournalError::Unreachable`] after `timeout`; [`JournalError::Unusable`] at once.
    pub async fn connect(
        servers: &Servers,
        settings: Settings,
        timeout: Duration,
    ) -> Result<Self, JournalError> {
        let observer = JetStreamObserver::connect(servers, settings, timeout).await?;
        Ok(Self::JetStream(Box::new(observer)))
    }

    /// Opens the embedded journal in `folder`, whether a process uses it or not.
    ///
    /// # Errors
    /// There is none, or it can't be read.
    pub async fn open(folder: &Path) -> Result<Self, JournalError> {
        ReadOnlyFile::open(folder).await.map(Self::Embedded)
    }

    /// The frames that a source's collectors have not acknowledged. In an embedded journal a delivered frame counts as
    /// waiting until it is acknowledged: only the owner's memory holds the leases.
    ///
    /// # Errors
    /// The journal is unreachable.
    pub async fn backlog(&self, source: Source) -> Result<Backlog, JournalError> {
        match self {
            Self::JetStream(observer) => observer.backlog(source).await,
            Self::Embedded(file) => file.backlog(source).await,
        }
    }

    /// Up to `limit` dead letters with a sequence over `after`, in the order in which they were appended.
    ///
    /// # Errors
    /// The journal is unreachable, or a letter can't be read.
    pub async fn dead_letters(
        &self,
        stream: DeadLetterStream,
        after: u64,
        limit: usize,
    ) -> Result<Vec<StoredDeadLetter>, JournalError> {
        match self {
            Self::JetStream(observer) => observer.dead_letters(stream, after, limit).await,
            Self::Embedded(file) => file.dead_letters(stream, after, limit).await,
        }
    }

    /// The contents of a dead-letter stream, and the number of letters that left it.
    ///
    /// # Errors
    /// The journal is unreachable.
    pub async fn dead_letter_stats(&self, stream: DeadLetterStream) -> Result<DeadLetterStats, JournalError> {
        match self {
            Self::JetStream(observer) => observer.dead_letter_stats(stream).await,
            Self::Embedded(file) => file.dead_letter_stats(stream).await,
        }
    }

    /// Every setting of the streams and consumers, as the servers have it and as this process wants it. Empty for an
    /// embedded journal, which takes its settings from its process.
    ///
    /// # Errors
    /// The journal is unreachable, or a stream or consumer is another application's.
    pub async fn settings(&self) -> Result<Vec<JournalSetting>, JournalError> {
        match self {
            Self::JetStream(observer) => observer.settings().await,
            Self::Embedded(_) => Ok(Vec::new()),
        }
    }

    /// Creates and changes what ingest creates and changes when it starts. With `shrink` it also lowers settings that are
    /// higher than wanted. Returns every setting as it was before.
    ///
    /// # Errors
    /// The journal is unreachable, or a stream or consumer is another application's.
    pub async fn apply(&self, shrink: bool) -> Result<Vec<JournalSetting>, JournalError> {
        match self {
            Self::JetStream(observer) => observer.apply(shrink).await,
            Self::Embedded(_) => Ok(Vec::new()),
        }
    }

    /// The checkpoints of the journal and of those before it, updated with its contents now. Empty for an embedded
    /// journal, whose checkpoints the store has.
    ///
    /// # Errors
    /// The journal is unreachable.
    pub async fn checkpoints(&self) -> Result<Vec<JournalCheckpoint>, JournalError> {
        match self {
            Self::JetStream(observer) => observer.checkpoints().await,
            Self::Embedded(_) => Ok(Vec::new()),
        }
    }

    /// Resets the lost frames that are recorded beside the journal to 0. Returns the number of frames that were lost.
    ///
    /// # Errors
    /// The journal is unreachable.
    pub async fn reset_losses(&self) -> Result<u64, JournalError> {
        match self {
            Self::JetStream(observer) => observer.reset_losses().await,
            Self::Embedded(_) => Ok(0),
        }
    }
}
