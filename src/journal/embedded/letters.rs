//! Dead letters in the file, and reading them back.

use chrono::DateTime;
use sqlx::{AssertSqlSafe, SqlitePool};

use super::held::{signed, unsigned};
use crate::journal::{DeadLetter, Graveyard, JournalError, StoredDeadLetter};

/// The table of a graveyard.
pub(super) fn table(graveyard: Graveyard) -> &'static str {
    match graveyard {
        Graveyard::Rejected => "rejected",
        Graveyard::Parked => "parked",
    }
}

pub(super) async fn read(
    readers: &SqlitePool,
    graveyard: Graveyard,
    after: u64,
    limit: usize,
) -> Result<Vec<StoredDeadLetter>, JournalError> {
    let table = table(graveyard);
    let select = format!(
        "SELECT sequence, subject, stored_at, payload FROM {table} WHERE sequence > ? ORDER BY sequence LIMIT ?"
    );
    let rows: Vec<(i64, String, i64, Vec<u8>)> = sqlx::query_as(AssertSqlSafe(select))
        .bind(signed(after))
        .bind(signed(limit as u64))
        .fetch_all(readers)
        .await
        .map_err(|error| JournalError::Unreachable(error.to_string()))?;
    rows.into_iter()
        .map(|(sequence, subject, stored_at, payload)| {
            let unreadable = || JournalError::Unusable(format!("the dead letter {sequence} can't be read"));
            Ok(StoredDeadLetter {
                sequence: unsigned(sequence),
                subject,
                stored_at: DateTime::from_timestamp_micros(stored_at).ok_or_else(unreadable)?,
                letter: DeadLetter::decode(&payload).ok_or_else(unreadable)?,
            })
        })
        .collect()
}
