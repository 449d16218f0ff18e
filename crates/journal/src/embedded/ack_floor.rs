//! The acknowledgement floor of the file, and the frames that are still in it.

use sqlx::SqlitePool;

use super::sql::{json_array, signed, unreachable, unsigned};
use crate::{error::JournalError, position::PresentFrame};

/// The sequence up to which every frame is acknowledged or gone. One statement reads the file at one moment.
pub(super) async fn read(readers: &SqlitePool) -> Result<u64, JournalError> {
    let through: i64 = sqlx::query_scalar(
        "SELECT coalesce(
            (SELECT min(sequence) - 1 FROM waiting),
            (SELECT seq FROM sqlite_sequence WHERE name = 'frame'),
            0
        )",
    )
    .fetch_one(readers)
    .await
    .map_err(unreachable)?;
    Ok(unsigned(through))
}

/// The frames at these sequences that are still in the file.
pub(super) async fn present_frames(
    readers: &SqlitePool,
    sequences: &[u64],
) -> Result<Vec<PresentFrame>, JournalError> {
    let Some(sequences) = json_array(sequences.iter().copied().map(signed)) else { return Ok(Vec::new()) };
    let rows: Vec<(i64, String)> = sqlx::query_as(
        "SELECT sequence, frame_id FROM frame
         WHERE sequence IN (SELECT value FROM json_each(?)) ORDER BY sequence",
    )
    .bind(sequences)
    .fetch_all(readers)
    .await
    .map_err(unreachable)?;
    Ok(rows.into_iter().map(|(sequence, id)| PresentFrame { sequence: unsigned(sequence), id }).collect())
}
