//! How far the collectors of the file have got, and which frames are still in it.

use sqlx::SqlitePool;

use super::{
    Embedded,
    held::{signed, unsigned},
    transaction::list,
};
use crate::journal::{Acknowledged, HeldFrame, JournalError};

impl Embedded {
    pub(in crate::journal) fn identity(&self) -> i64 {
        self.shared.identity
    }

    pub(in crate::journal) async fn acknowledged(&self) -> Result<Acknowledged, JournalError> {
        let through = through(&self.shared.readers).await.map_err(away)?;
        Ok(Acknowledged { journal: self.identity(), through })
    }

    pub(in crate::journal) async fn held(&self, sequences: &[u64]) -> Result<Vec<HeldFrame>, JournalError> {
        let Some(sequences) = list(sequences.iter().copied().map(signed)) else { return Ok(Vec::new()) };
        let rows: Vec<(i64, String)> = sqlx::query_as(
            "SELECT sequence, frame_id FROM frame
             WHERE sequence IN (SELECT value FROM json_each(?)) ORDER BY sequence",
        )
        .bind(sequences)
        .fetch_all(&self.shared.readers)
        .await
        .map_err(away)?;
        Ok(rows.into_iter().map(|(sequence, id)| HeldFrame { sequence: unsigned(sequence), id }).collect())
    }
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
