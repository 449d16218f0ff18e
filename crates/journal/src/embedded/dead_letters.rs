//! Dead letters in the file: statistics and reading.

use chrono::DateTime;
use sqlx::{AssertSqlSafe, SqlitePool};

use super::sql::{signed, table, unreachable, unsigned};
use crate::{
    dead_letter::{DeadLetter, StoredDeadLetter},
    dead_letter_stream::{DeadLetterStats, DeadLetterStream},
    error::JournalError,
};

/// Sequence, subject, time of storing in microseconds since 1970, payload.
type Row = (i64, String, i64, Vec<u8>);

pub(super) async fn stats(
    readers: &SqlitePool,
    stream: DeadLetterStream,
) -> Result<DeadLetterStats, JournalError> {
    let table = table(stream);
    let select = format!(
        "SELECT count(*), coalesce(sum(bytes), 0),
                coalesce((SELECT seq FROM sqlite_sequence WHERE name = '{table}'), 0)
         FROM {table} INDEXED BY {table}_bytes"
    );
    let (letters, bytes, last): (i64, i64, i64) =
        sqlx::query_as(AssertSqlSafe(select)).fetch_one(readers).await.map_err(unreachable)?;
    let [letters, bytes, last_sequence] = [letters, bytes, last].map(unsigned);
    Ok(DeadLetterStats { letters, bytes, last_sequence, gone: last_sequence.saturating_sub(letters) })
}

/// Reads up to `limit` letters with a sequence over `after`.
pub(super) async fn read_page(
    readers: &SqlitePool,
    stream: DeadLetterStream,
    after: u64,
    limit: usize,
) -> Result<Vec<StoredDeadLetter>, JournalError> {
    let table = table(stream);
    let select = format!(
        "SELECT sequence, subject, stored_at, payload FROM {table} WHERE sequence > ? ORDER BY sequence LIMIT ?"
    );
    let rows: Vec<Row> = sqlx::query_as(AssertSqlSafe(select))
        .bind(signed(after))
        .bind(signed(limit as u64))
        .fetch_all(readers)
        .await
        .map_err(unreachable)?;
    rows.into_iter().map(stored).collect()
}

/// Reads the letter at a sequence.
pub(super) async fn read_at(
    readers: &SqlitePool,
    stream: DeadLetterStream,
    sequence: u64,
) -> Result<Option<StoredDeadLetter>, JournalError> {
    let table = table(stream);
    let select = format!("SELECT sequence, subject, stored_at, payload FROM {table} WHERE sequence = ?");
    let row: Option<Row> = sqlx::query_as(AssertSqlSafe(select))
        .bind(signed(sequence))
        .fetch_optional(readers)
        .await
        .map_err(unreachable)?;
    row.map(stored).transpose()
}

/// Reads the newest letter under a subject.
pub(super) async fn read_last(
    readers: &SqlitePool,
    stream: DeadLetterStream,
    subject: &str,
) -> Result<Option<StoredDeadLetter>, JournalError> {
    let table = table(stream);
    let select = format!(
        "SELECT sequence, subject, stored_at, payload FROM {table} INDEXED BY {table}_by_subject
         WHERE subject = ? ORDER BY sequence DESC LIMIT 1"
    );
    let row: Option<Row> = sqlx::query_as(AssertSqlSafe(select))
        .bind(subject)
        .fetch_optional(readers)
        .await
        .map_err(unreachable)?;
    row.map(stored).transpose()
}

fn stored((sequence, subject, stored_at, payload): Row) -> Result<StoredDeadLetter, JournalError> {
    let unreadable = || JournalError::Unusable(format!("the dead letter {sequence} can't be read"));
    Ok(StoredDeadLetter {
        sequence: unsigned(sequence),
        subject,
        stored_at: DateTime::from_timestamp_micros(stored_at).ok_or_else(unreadable)?,
        letter: DeadLetter::decode(&payload).ok_or_else(unreadable)?,
    })
}
