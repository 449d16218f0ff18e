//! The journal's file, read beside the process that writes it. SQLite's write-ahead log allows that.

use std::path::Path;

use sqlx::SqlitePool;
use weir_event::Source;

use super::{
    dead_letters, file,
    sql::{unreachable, unsigned},
};
use crate::{
    dead_letter::StoredDeadLetter,
    dead_letter_stream::{DeadLetterStats, DeadLetterStream},
    error::JournalError,
    usage::Backlog,
};

/// A journal file that this process reads and never writes.
#[derive(Debug)]
pub struct ReadOnlyFile {
    readers: SqlitePool,
}

impl ReadOnlyFile {
    pub(crate) async fn open(folder: &Path) -> Result<Self, JournalError> {
        Ok(Self { readers: file::open_read_only(folder).await? })
    }

    pub(crate) async fn backlog(&self, source: Source) -> Result<Backlog, JournalError> {
        let waiting: i64 = sqlx::query_scalar("SELECT count(*) FROM waiting WHERE source = ?")
            .bind(source.number())
            .fetch_one(&self.readers)
            .await
            .map_err(unreachable)?;
        Ok(Backlog { waiting: unsigned(waiting), in_flight: 0 })
    }

    pub(crate) async fn dead_letters(
        &self,
        stream: DeadLetterStream,
        after: u64,
        limit: usize,
    ) -> Result<Vec<StoredDeadLetter>, JournalError> {
        dead_letters::read_page(&self.readers, stream, after, limit).await
    }

    pub(crate) async fn dead_letter_stats(
        &self,
        stream: DeadLetterStream,
    ) -> Result<DeadLetterStats, JournalError> {
        dead_letters::stats(&self.readers, stream).await
    }
}
