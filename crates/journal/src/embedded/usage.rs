//! What the file holds, known without asking it: counted at the start, then kept by the one writer.

use sqlx::{AssertSqlSafe, SqliteConnection};

use super::dead_letters;
use crate::DeadLetterStream;

/// Room that a frame or letter takes beside its bytes: rows, keys, index entries.
pub(super) const ROW_BYTES: u64 = 200;

/// Counts and bytes, [`ROW_BYTES`] included.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Held {
    pub(super) frames: u64,
    pub(super) frame_bytes: u64,
    rejected_bytes: u64,
    parked_bytes: u64,
}

impl Held {
    pub(super) async fn count(connection: &mut SqliteConnection) -> Result<Self, sqlx::Error> {
        let (frames, frame_bytes): (i64, i64) =
            sqlx::query_as("SELECT count(*), coalesce(sum(bytes), 0) FROM frame INDEXED BY frame_by_source")
                .fetch_one(&mut *connection)
                .await?;
        let mut held =
            Self { frames: unsigned(frames), frame_bytes: unsigned(frame_bytes), ..Self::default() };
        for graveyard in [DeadLetterStream::Rejected, DeadLetterStream::Parked] {
            let table = dead_letters::table(graveyard);
            let count = format!("SELECT coalesce(sum(bytes), 0) FROM {table} INDEXED BY {table}_bytes");
            let bytes: i64 = sqlx::query_scalar(AssertSqlSafe(count)).fetch_one(&mut *connection).await?;
            *held.letter_bytes(graveyard) = unsigned(bytes);
        }
        Ok(held)
    }

    pub(super) fn letter_bytes(&mut self, graveyard: DeadLetterStream) -> &mut u64 {
        match graveyard {
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

/// What a payload takes of the bounds.
pub(super) fn weight(payload: &[u8]) -> u64 {
    payload.len() as u64 + ROW_BYTES
}

/// SQLite's integers are signed; counts and sums of sizes are not.
pub(super) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
