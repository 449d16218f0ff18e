//! Dead letters in the file, and reading them back.

use chrono::DateTime;
use sqlx::{AssertSqlSafe, SqlitePool};

use super::usage::{signed, unsigned};
use crate::{DeadLetter, DeadLetterStats, DeadLetterStream, JournalError, StoredDeadLetter};

/// Sequence, subject, when it was stored in microseconds since 1970, payload.
type Row = (i64, String, i64, Vec<u8>);

/// The table of a graveyard.
pub(super) fn table(graveyard: DeadLetterStream) -> &'static str {
    graveyard.name()
}

pub(super) async fn stats(
    readers: &SqlitePool,
    graveyard: DeadLetterStream,
) -> Result<DeadLetterStats, JournalError> {
    let table = table(graveyard);
    let select = format!(
        "SELECT count(*), coalesce(sum(bytes), 0),
                coalesce((SELECT seq FROM sqlite_sequence WHERE name = '{table}'), 0)
         FROM {table} INDEXED BY {table}_bytes"
    );
    let (letters, bytes, last): (i64, i64, i64) =
        sqlx::query_as(AssertSqlSafe(select)).fetch_one(readers).await.map_err(away)?;
    let [letters, bytes, last] = [letters, bytes, last].map(unsigned);
    Ok(DeadLetterStats { letters, bytes, last, gone: last.saturating_sub(letters) })
}

pub(super) async fn read(
    readers: &SqlitePool,
    graveyard: DeadLetterStream,
    after: u64,
    limit: usize,
) -> Result<Vec<StoredDeadLetter>, JournalError> {
    let table = table(graveyard);
    let select = format!(
        "SELECT sequence, subject, stored_at, payload FROM {table} WHERE sequence > ? ORDER BY sequence LIMIT ?"
    );
    let rows: Vec<Row> = sqlx::query_as(AssertSqlSafe(select))
        .bind(signed(after))
        .bind(signed(limit as u64))
        .fetch_all(readers)
        .await
        .map_err(away)?;
    rows.into_iter().map(stored).collect()
}

pub(super) async fn at(
    readers: &SqlitePool,
    graveyard: DeadLetterStream,
    sequence: u64,
) -> Result<Option<StoredDeadLetter>, JournalError> {
    let table = table(graveyard);
    let select = format!("SELECT sequence, subject, stored_at, payload FROM {table} WHERE sequence = ?");
    let row: Option<Row> = sqlx::query_as(AssertSqlSafe(select))
        .bind(signed(sequence))
        .fetch_optional(readers)
        .await
        .map_err(away)?;
    row.map(stored).transpose()
}

/// The newest letter under a subject.
pub(super) async fn last(
    readers: &SqlitePool,
    graveyard: DeadLetterStream,
    subject: &str,
) -> Result<Option<StoredDeadLetter>, JournalError> {
    let table = table(graveyard);
    let select = format!(
        "SELECT sequence, subject, stored_at, payload FROM {table} INDEXED BY {table}_by_subject
         WHERE subject = ? ORDER BY sequence DESC LIMIT 1"
    );
    let row: Option<Row> =
        sqlx::query_as(AssertSqlSafe(select)).bind(subject).fetch_optional(readers).await.map_err(away)?;
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

fn away(error: sqlx::Error) -> JournalError {
    JournalError::Unreachable(error.to_string())
}
