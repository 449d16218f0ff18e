//! The journal's file, read beside the process that writes it, which SQLite's log allows.

use std::path::Path;

use sqlx::SqlitePool;
use weir_event::Source;

use super::{dead_letters, file, usage::unsigned};
use crate::{Backlog, DeadLetterStats, DeadLetterStream, JournalError, StoredDeadLetter};

/// A file that is read and never written.
#[derive(Debug)]
pub struct OpenedFile {
    readers: SqlitePool,
}

impl OpenedFile {
    pub(crate) async fn open(folder: &Path) -> Result<Self, JournalError> {
        Ok(Self { readers: file::open_to_read(folder).await? })
    }

    pub(crate) async fn backlog(&self, source: Source) -> Result<Backlog, JournalError> {
        let waiting: i64 = sqlx::query_scalar("SELECT count(*) FROM waiting WHERE source = ?")
            .bind(source.number())
            .fetch_one(&self.readers)
            .await
            .map_err(|error| JournalError::Unreachable(error.to_string()))?;
        Ok(Backlog { waiting: unsigned(waiting), in_flight: 0 })
    }

    pub(crate) async fn dead_letters(
        &self,
        graveyard: DeadLetterStream,
        after: u64,
        limit: usize,
    ) -> Result<Vec<StoredDeadLetter>, JournalError> {
        dead_letters::read(&self.readers, graveyard, after, limit).await
    }

    pub(crate) async fn dead_letter_stats(
        &self,
        graveyard: DeadLetterStream,
    ) -> Result<DeadLetterStats, JournalError> {
        dead_letters::stats(&self.readers, graveyard).await
    }
}
