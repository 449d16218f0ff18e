//! Making room: acknowledged frames go oldest first, letters past their bound, and everything past its age.

use std::time::Duration;

use chrono::Utc;
use sqlx::{AssertSqlSafe, SqliteConnection};
use weir_event::Source;

use super::{
    bounds::Bounds,
    commit::{self, list},
    dead_letters,
    usage::{Held, unsigned},
};
use crate::DeadLetterStream;

/// Rows that one step removes: freeing a frame reads its pages, and appends wait meanwhile.
const STEP: i64 = 64;

/// Purges acknowledged frames, oldest first, until at most `target` bytes of frames are left or none is
/// acknowledged below its source's first unacknowledged one; at most `steps` steps.
pub(super) async fn purge(
    connection: &mut SqliteConnection,
    held: &mut Held,
    target: u64,
    steps: usize,
) -> Result<(), sqlx::Error> {
    for _ in 0..steps {
        let Some(excess) = held.frame_bytes.checked_sub(target).filter(|excess| *excess > 0) else {
            return Ok(());
        };
        let oldest = acknowledged_frames(connection).await?;
        if oldest.is_empty() {
            return Ok(());
        }
        let (sequences, bytes) = enough(&oldest, excess);
        remove(connection, "frame", &sequences).await?;
        held.remove_frames(sequences.len() as u64, bytes);
    }
    Ok(())
}

/// The oldest frames below their source's first unacknowledged frame, with their bytes.
async fn acknowledged_frames(connection: &mut SqliteConnection) -> Result<Vec<(i64, i64)>, sqlx::Error> {
    let mut oldest = Vec::new();
    for source in Source::ALL {
        let of_source: Vec<(i64, i64)> = sqlx::query_as(
            "SELECT sequence, bytes FROM frame INDEXED BY frame_by_source
             WHERE source = ?1
               AND sequence < coalesce((SELECT min(sequence) FROM waiting WHERE source = ?1), 9223372036854775807)
             ORDER BY sequence LIMIT ?2",
        )
        .bind(source.number())
        .bind(STEP)
        .fetch_all(&mut *connection)
        .await?;
        oldest.extend(of_source);
    }
    oldest.sort_unstable();
    Ok(oldest)
}

/// The first of them that hold `excess` bytes together, and how many bytes they hold.
fn enough(oldest: &[(i64, i64)], excess: u64) -> (Vec<i64>, u64) {
    let mut sequences = Vec::new();
    let mut freed = 0;
    for (sequence, bytes) in oldest {
        if freed >= excess {
            break;
        }
        sequences.push(*sequence);
        freed += unsigned(*bytes);
    }
    (sequences, freed)
}

async fn remove(
    connection: &mut SqliteConnection,
    table: &str,
    sequences: &[i64],
) -> Result<(), sqlx::Error> {
    let Some(sequences) = list(sequences.iter().copied()) else { return Ok(()) };
    let remove = format!("DELETE FROM {table} WHERE sequence IN (SELECT value FROM json_each(?))");
    sqlx::query(AssertSqlSafe(remove)).bind(sequences).execute(connection).await?;
    Ok(())
}

/// Drops the oldest letters of a graveyard until `excess` bytes are free.
pub(super) async fn drop_letters(
    connection: &mut SqliteConnection,
    graveyard: DeadLetterStream,
    excess: u64,
    held: &mut Held,
) -> Result<(), sqlx::Error> {
    let table = dead_letters::table(graveyard);
    let mut dropped = 0;
    let mut freed = 0;
    while freed < excess {
        let select = format!("SELECT sequence, bytes FROM {table} ORDER BY sequence LIMIT ?");
        let oldest: Vec<(i64, i64)> =
            sqlx::query_as(AssertSqlSafe(select)).bind(STEP).fetch_all(&mut *connection).await?;
        if oldest.is_empty() {
            break;
        }
        let (sequences, bytes) = enough(&oldest, excess - freed);
        remove(connection, table, &sequences).await?;
        dropped += sequences.len();
        freed += bytes;
    }
    let bytes = held.letter_bytes(graveyard);
    *bytes = bytes.saturating_sub(freed);
    tracing::warn!(graveyard = table, letters = dropped, "the oldest dead letters were dropped to make room");
    Ok(())
}

/// Removes letters that are past their age, and frames that are past theirs and acknowledged together with every older
/// frame of their source. A frame that waits is never removed, however old.
pub(super) async fn expire(
    connection: &mut SqliteConnection,
    held: &mut Held,
    bounds: &Bounds,
) -> Result<(), sqlx::Error> {
    commit::begin(connection).await?;
    let aged = remove_aged(connection, bounds).await;
    let removed = commit::end(connection, aged).await?;
    if removed > 0 {
        *held = Held::count(connection).await?;
    }
    Ok(())
}

/// How many rows were removed.
async fn remove_aged(connection: &mut SqliteConnection, bounds: &Bounds) -> Result<u64, sqlx::Error> {
    let kept = first_kept(connection, "frame", bounds.frame_age).await?;
    let mut removed = 0;
    for source in Source::ALL {
        removed += sqlx::query(
            "DELETE FROM frame WHERE source = ?1 AND sequence < ?2
               AND sequence < coalesce((SELECT min(sequence) FROM waiting WHERE source = ?1), 9223372036854775807)",
        )
        .bind(source.number())
        .bind(kept)
        .execute(&mut *connection)
        .await?
        .rows_affected();
    }
    for graveyard in [DeadLetterStream::Rejected, DeadLetterStream::Parked] {
        let table = dead_letters::table(graveyard);
        let kept = first_kept(connection, table, bounds.letter_age).await?;
        removed += remove_before(connection, table, kept).await?;
    }
    Ok(removed)
}

/// The oldest row that is within its age; rows lie in the order of their age.
async fn first_kept(
    connection: &mut SqliteConnection,
    table: &str,
    age: Duration,
) -> Result<i64, sqlx::Error> {
    let age = i64::try_from(age.as_micros()).unwrap_or(i64::MAX);
    let oldest = Utc::now().timestamp_micros().saturating_sub(age);
    let select = format!("SELECT sequence FROM {table} WHERE stored_at >= ? ORDER BY sequence LIMIT 1");
    let kept = sqlx::query_scalar(AssertSqlSafe(select)).bind(oldest).fetch_optional(connection).await?;
    Ok(kept.unwrap_or(i64::MAX))
}

async fn remove_before(
    connection: &mut SqliteConnection,
    table: &str,
    kept: i64,
) -> Result<u64, sqlx::Error> {
    let remove = format!("DELETE FROM {table} WHERE sequence < ?");
    Ok(sqlx::query(AssertSqlSafe(remove)).bind(kept).execute(connection).await?.rows_affected())
}
