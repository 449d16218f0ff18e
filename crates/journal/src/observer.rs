//! Looking at a journal that others own: nothing is created, changed or locked.

use std::{path::Path, time::Duration};

use weir_event::Source;

use super::{
    Backlog, DeadLetterStats, DeadLetterStream, JournalError, JournalSetting, JournalState, Servers,
    Settings, StoredDeadLetter, embedded::OpenedFile, jetstream::Watched,
};

/// A journal, read beside the processes that use it.
#[derive(Debug)]
pub enum Observer {
    JetStream(Box<Watched>),
    Embedded(OpenedFile),
}

impl Observer {
    /// Connects to JetStream; waits for a server that is not there yet up to `patience`.
    ///
    /// # Errors
    /// [`JournalError::Unreachable`] after `patience`; [`JournalError::Unusable`] at once.
    pub async fn connect(
        servers: &Servers,
        settings: Settings,
        patience: Duration,
    ) -> Result<Self, JournalError> {
        Watched::connect(servers, settings, patience).await.map(|watched| Self::JetStream(Box::new(watched)))
    }

    /// Opens the embedded journal in `folder`, whether a process uses it or not.
    ///
    /// # Errors
    /// There is none, or it can't be read.
    pub async fn open(folder: &Path) -> Result<Self, JournalError> {
        OpenedFile::open(folder).await.map(Self::Embedded)
    }

    /// What a source's collectors still have to do. A frame that an embedded journal has offered counts as waiting
    /// until it is acknowledged: only its owner knows who holds it.
    ///
    /// # Errors
    /// The journal is away.
    pub async fn backlog(&self, source: Source) -> Result<Backlog, JournalError> {
        match self {
            Self::JetStream(watched) => watched.backlog(source).await,
            Self::Embedded(file) => file.backlog(source).await,
        }
    }

    /// Dead letters in the order in which they were laid down, at most `limit`, with a sequence over `after`.
    ///
    /// # Errors
    /// The journal is away.
    pub async fn dead_letters(
        &self,
        graveyard: DeadLetterStream,
        after: u64,
        limit: usize,
    ) -> Result<Vec<StoredDeadLetter>, JournalError> {
        match self {
            Self::JetStream(watched) => watched.dead_letters(graveyard, after, limit).await,
            Self::Embedded(file) => file.dead_letters(graveyard, after, limit).await,
        }
    }

    /// What a graveyard holds and has lost.
    ///
    /// # Errors
    /// The journal is away.
    pub async fn dead_letter_stats(
        &self,
        graveyard: DeadLetterStream,
    ) -> Result<DeadLetterStats, JournalError> {
        match self {
            Self::JetStream(watched) => watched.dead_letter_stats(graveyard).await,
            Self::Embedded(file) => file.dead_letter_stats(graveyard).await,
        }
    }

    /// Every setting of the streams and consumers, found on the servers and wanted by this process. The embedded journal
    /// takes its settings from its process.
    ///
    /// # Errors
    /// The journal is away, or a stream or consumer is another application's.
    pub async fn settings(&self) -> Result<Vec<JournalSetting>, JournalError> {
        match self {
            Self::JetStream(watched) => watched.status().await,
            Self::Embedded(_) => Ok(Vec::new()),
        }
    }

    /// Makes and changes what ingest would at its start; with `shrink` also lowers what is found higher than wanted. Returns
    /// every setting as it was.
    ///
    /// # Errors
    /// The journal is away, or a stream or consumer is another application's.
    pub async fn apply(&self, shrink: bool) -> Result<Vec<JournalSetting>, JournalError> {
        match self {
            Self::JetStream(watched) => watched.apply(shrink).await,
            Self::Embedded(_) => Ok(Vec::new()),
        }
    }

    /// What is noted of the journal and of those before it; nothing on files, where the store has it.
    ///
    /// # Errors
    /// The journal is away.
    pub async fn states(&self) -> Result<Vec<JournalState>, JournalError> {
        match self {
            Self::JetStream(watched) => watched.states().await,
            Self::Embedded(_) => Ok(Vec::new()),
        }
    }

    /// Sets the losses that are noted beside the journal back to none; returns how many frames were lost.
    ///
    /// # Errors
    /// The journal is away.
    pub async fn forget_losses(&self) -> Result<u64, JournalError> {
        match self {
            Self::JetStream(watched) => watched.forget_losses().await,
            Self::Embedded(_) => Ok(0),
        }
    }
}
