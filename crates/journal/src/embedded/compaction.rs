//! Compaction of the file: purges acknowledged frames, drops dead letters over their limit, and removes expired rows.

use std::time::Duration;

use chrono::Utc;
use sqlx::{AssertSqlSafe, SqliteConnection};
use weir_event::Source;

use super::{
    sql::{begin, commit_or_roll_back, json_array, table, unsigned},
    usage::{FileLimits, FileUsage},
};
use crate::dead_letter_stream::DeadLetterStream;

/// Rows that one step removes. SQLite reads the pages of a frame to free them, and appends wait meanwhile.
const STEP_ROWS: i64 = 64;

/// Purges acknowledged frames, oldest first, in at most `steps` steps. Ends when at most `target` bytes of frames are
/// left, or when no acknowledged frame is left before its source's first unacknowledged one.
pub(super) async fn purge(
    connection: &mut SqliteConnection,
    usage: &mut FileUsage,
    target: u64,
    steps: usize,
) -> Result<(), sqlx::Error> {
    for _ in 0..steps {
        let Some(excess) = usage.frame_bytes.checked_sub(target).filter(|excess| *excess > 0) else {
            return Ok(());
        };
        let oldest = oldest_acknowledged(connection).await?;
        if oldest.is_empty() {
            return Ok(());
        }
        let (sequences, bytes) = first_with_bytes(&oldest, excess);
        remove(connection, "frame", &sequences).await?;
        usage.remove_frames(sequences.len() as u64, bytes);
    }
    Ok(())
}

/// The oldest frames before their source's first unacknowledged frame: sequence and bytes.
async fn oldest_acknowledged(connection: &mut SqliteConnection) -> Result<Vec<(i64, i64)>, sqlx::Error> {
    let mut oldest = Vec::new();
    for source in Source::ALL {
        let of_source: Vec<(i64, i64)> = sqlx::query_as(
            "SELECT sequence, bytes FROM frame INDEXED BY frame_by_source
             WHERE source = ?1
               AND sequence < coalesce((SELECT min(sequence) FROM waiting WHERE source = ?1), 9223372036854775807)
             ORDER BY sequence LIMIT ?2",
        )
        .bind(source.number())
        .bind(STEP_ROWS)
        .fetch_all(&mut *connection)
        .await?;
        oldest.extend(of_source);
    }
    oldest.sort_unstable();
    Ok(oldest)
}

/// The first rows that hold `excess` bytes together, and the sum of their bytes.
fn first_with_bytes(oldest: &[(i64, i64)], excess: u64) -> (Vec<i64>, u64) {
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
    let Some(sequences) = json_array(sequences.iter().copied()) else { return Ok(()) };
    let remove = format!("DELETE FROM {table} WHERE sequence IN (SELECT value FROM json_each(?))");
    sqlx::query(AssertSqlSafe(remove)).bind(sequences).execute(connection).await?;
    Ok(())
}

/// Drops the oldest letters of a stream until `excess` bytes are free.
pub(super) async fn drop_oldest_letters(
    connection: &mut SqliteConnection,
    stream: DeadLetterStream,
    excess: u64,
    usage: &mut FileUsage,
) -> Result<(), sqlx::Error> {
    let table = table(stream);
    let mut dropped = 0;
    let mut freed = 0;
    while freed < excess {
        let select = format!("SELECT sequence, bytes FROM {table} ORDER BY sequence LIMIT ?");
        let oldest: Vec<(i64, i64)> =
            sqlx::query_as(AssertSqlSafe(select)).bind(STEP_ROWS).fetch_all(&mut *connection).await?;
        if oldest.is_empty() {
            break;
        }
        let (sequences, bytes) = first_with_bytes(&oldest, excess - freed);
        remove(connection, table, &sequences).await?;
        dropped += sequences.len();
        freed += bytes;
    }
    let bytes = usage.letter_bytes(stream);
    *bytes = bytes.saturating_sub(freed);
    tracing::warn!(stream = table, letters = dropped, "the oldest dead letters were dropped to make room");
    Ok(())
}

/// Removes expired letters and expired frames. A frame goes only if it is acknowledged together with every older frame of
/// its source: an unacknowledged frame never expires.
pub(super) async fn expire(
    connection: &mut SqliteConnection,
    usage: &mut FileUsage,
    limits: &FileLimits,
) -> Result<(), sqlx::Error> {
    begin(connection).await?;
    let removed = remove_expired(connection, limits).await;
    let removed = commit_or_roll_back(connection, removed).await?;
    if removed > 0 {
        *usage = FileUsage::count(connection).await?;
    }
    Ok(())
}

/// Returns the number of removed rows.
async fn remove_expired(connection: &mut SqliteConnection, limits: &FileLimits) -> Result<u64, sqlx::Error> {
    let kept = first_within_age(connection, "frame", limits.frame_age).await?;
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
    for stream in DeadLetterStream::ALL {
        let table = table(stream);
        let kept = first_within_age(connection, table, limits.letter_age).await?;
        removed += remove_before(connection, table, kept).await?;
    }
    Ok(removed)
}

/// The sequence of the oldest row within `age`. Rows are stored in the order of their age.
async fn first_within_age(
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
