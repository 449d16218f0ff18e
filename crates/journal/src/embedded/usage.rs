//! Usage of the file and its limits. The writer counts the rows once when it starts, and keeps the counts in memory.

use std::time::Duration;

use sqlx::{AssertSqlSafe, SqliteConnection};

use super::sql::{table, unsigned};
use crate::{dead_letter_stream::DeadLetterStream, limits};

/// Bytes that a frame or dead letter takes beside its payload: rows, keys and index entries.
pub(super) const ROW_BYTES: u64 = 200;

/// Limits of one journal file.
#[derive(Clone, Copy, Debug)]
pub(super) struct FileLimits {
    /// The most bytes of all frames, acknowledged ones included.
    pub(super) frame_bytes: u64,
    /// The age of acknowledged frames.
    pub(super) frame_age: Duration,
    /// The most bytes of each dead-letter stream.
    pub(super) letter_bytes: u64,
    pub(super) letter_age: Duration,
}

/// Counts of rows and sums of bytes, [`ROW_BYTES`] included.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FileUsage {
    pub(super) frames: u64,
    pub(super) frame_bytes: u64,
    rejected_bytes: u64,
    parked_bytes: u64,
}

impl FileLimits {
    /// The limits of a file with at most `frame_bytes` bytes of frames.
    pub(super) fn new(frame_bytes: u64) -> Self {
        Self {
            frame_bytes,
            frame_age: limits::ACKNOWLEDGED_FRAME_AGE,
            letter_bytes: limits::DEAD_LETTER_STREAM_BYTES,
            letter_age: limits::DEAD_LETTER_AGE,
        }
    }
}

impl FileUsage {
    /// Counts the rows of the file.
    pub(super) async fn count(connection: &mut SqliteConnection) -> Result<Self, sqlx::Error> {
        let (frames, frame_bytes): (i64, i64) =
            sqlx::query_as("SELECT count(*), coalesce(sum(bytes), 0) FROM frame INDEXED BY frame_by_source")
                .fetch_one(&mut *connection)
                .await?;
        let mut usage =
            Self { frames: unsigned(frames), frame_bytes: unsigned(frame_bytes), ..Self::default() };
        for stream in DeadLetterStream::ALL {
            let table = table(stream);
            let count = format!("SELECT coalesce(sum(bytes), 0) FROM {table} INDEXED BY {table}_bytes");
            let bytes: i64 = sqlx::query_scalar(AssertSqlSafe(count)).fetch_one(&mut *connection).await?;
            *usage.letter_bytes(stream) = unsigned(bytes);
        }
        Ok(usage)
    }

    pub(super) fn letter_bytes(&mut self, stream: DeadLetterStream) -> &mut u64 {
        match stream {
            DeadLetterStream::Rejected => &mut self.rejected_bytes,
            DeadLetterStream::Parked => &mut self.parked_bytes,
        }
    }

    pub(super) fn add_frame(&mut self, bytes: u64) {
        self.frames += 1;
        self.frame_bytes += bytes;
    }

    pub(super) fn remove_frames(&mut self, frames: u64, bytes: u64) {
        self.frames = self.frames.saturating_sub(frames);
        self.frame_bytes = self.frame_bytes.saturating_sub(bytes);
    }
}

/// The bytes of a payload with its row, as the limits count them.
pub(super) fn row_bytes(payload: &[u8]) -> u64 {
    payload.len() as u64 + ROW_BYTES
}
