//! The progress of the collectors of the file, and the frames that are still in it.

use sqlx::SqlitePool;
use weir_event::Source;

use super::{
    Embedded,
    commit::list,
    usage::{signed, unsigned},
};
use crate::{AckFloor, JournalError, JournalState, PresentFrame};

impl Embedded {
    pub(crate) fn identity(&self) -> i64 {
        self.shared.identity
    }

    pub(crate) async fn ack_floor(&self) -> Result<AckFloor, JournalError> {
        let through = through(&self.shared.readers).await.map_err(away)?;
        Ok(AckFloor { journal: self.identity(), through })
    }

    pub(crate) async fn states(&self, noted: Vec<JournalState>) -> Result<Vec<JournalState>, JournalError> {
        self.shared.notebook.note(noted).await.map_err(away)
    }

    pub(crate) async fn present_frames(&self, sequences: &[u64]) -> Result<Vec<PresentFrame>, JournalError> {
        let Some(sequences) = list(sequences.iter().copied().map(signed)) else { return Ok(Vec::new()) };
        let rows: Vec<(i64, String)> = sqlx::query_as(
            "SELECT sequence, frame_id FROM frame
             WHERE sequence IN (SELECT value FROM json_each(?)) ORDER BY sequence",
        )
        .bind(sequences)
        .fetch_all(&self.shared.readers)
        .await
        .map_err(away)?;
        Ok(rows.into_iter().map(|(sequence, id)| PresentFrame { sequence: unsigned(sequence), id }).collect())
    }
}

/// What the file holds now.
pub(super) async fn observed(readers: &SqlitePool, journal: i64) -> Result<JournalState, sqlx::Error> {
    let mut transaction = readers.begin().await?;
    let last: Option<i64> = sqlx::query_scalar("SELECT seq FROM sqlite_sequence WHERE name = 'frame'")
        .fetch_optional(&mut *transaction)
        .await?;
    let mut state = JournalState {
        journal,
        last_sequence: unsigned(last.unwrap_or_default()),
        ..JournalState::default()
    };
    for &source in Source::ALL {
        let (waiting, first): (i64, Option<i64>) =
            sqlx::query_as("SELECT count(*), min(sequence) FROM waiting WHERE source = ?")
                .bind(source.number())
                .fetch_one(&mut *transaction)
                .await?;
        let floor = first.map_or(state.last_sequence, |first| unsigned(first - 1));
        let of_source = state.of_mut(source);
        (of_source.waiting, of_source.floor) = (unsigned(waiting), floor);
    }
    transaction.rollback().await?;
    Ok(state)
}

/// How many frames of each source lie between the floor and the last sequence that were noted of it.
pub(super) async fn frames_behind(
    readers: &SqlitePool,
    note: &JournalState,
) -> Result<[u64; 2], sqlx::Error> {
    let mut behind = [0; 2];
    for (count, &source) in behind.iter_mut().zip(Source::ALL) {
        let found: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM frame WHERE source = ? AND sequence > ? AND sequence <= ?",
        )
        .bind(source.number())
        .bind(signed(note.of(source).floor))
        .bind(signed(note.last_sequence))
        .fetch_one(readers)
        .await?;
        *count = unsigned(found);
    }
    Ok(behind)
}

/// One statement sees the file at one moment.
async fn through(readers: &SqlitePool) -> Result<u64, sqlx::Error> {
    let through: i64 = sqlx::query_scalar(
        "SELECT coalesce(
            (SELECT min(sequence) - 1 FROM waiting),
            (SELECT seq FROM sqlite_sequence WHERE name = 'frame'),
            0
        )",
    )
    .fetch_one(readers)
    .await?;
    Ok(unsigned(through))
}

fn away(error: sqlx::Error) -> JournalError {
    JournalError::Unreachable(error.to_string())
}
