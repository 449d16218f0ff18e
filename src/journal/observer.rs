//! Looking at a journal that others own: nothing is created, changed or locked.

use std::{path::Path, time::Duration};

use super::{
    Backlog, Buried, Graveyard, JournalError, StoredDeadLetter, embedded::OpenedFile, jetstream::Watched,
};
use crate::event::Source;

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
    pub async fn connect(url: &str, patience: Duration) -> Result<Self, JournalError> {
        Watched::connect(url, patience).await.map(|watched| Self::JetStream(Box::new(watched)))
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
        graveyard: Graveyard,
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
    pub async fn buried(&self, graveyard: Graveyard) -> Result<Buried, JournalError> {
        match self {
            Self::JetStream(watched) => watched.buried(graveyard).await,
            Self::Embedded(file) => file.buried(graveyard).await,
        }
    }
}
