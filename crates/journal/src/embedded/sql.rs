//! SQL helpers: integers, lists of sequences, transactions and errors.

use sqlx::{SqliteConnection, error::Error};

use crate::{dead_letter_stream::DeadLetterStream, error::JournalError};

/// The table of a dead-letter stream.
pub(super) fn table(stream: DeadLetterStream) -> &'static str {
    stream.name()
}

/// Converts a count or a sum of sizes from SQLite's signed integer.
pub(super) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

/// Converts a number to SQLite's signed integer.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The sequences as a JSON array, which one statement takes for any number of them; `None` for no sequences.
pub(super) fn json_array(sequences: impl IntoIterator<Item = i64>) -> Option<String> {
    let sequences: Vec<i64> = sequences.into_iter().collect();
    if sequences.is_empty() {
        return None;
    }
    Some(serde_json::to_string(&sequences).expect("integers are JSON"))
}

/// Takes the write lock. [`commit_or_roll_back`] must follow on every path. sqlx's own transactions leave a connection
/// useless if SQLite has rolled back itself, as it does on a full disk.
pub(super) async fn begin(connection: &mut SqliteConnection) -> Result<(), Error> {
    sqlx::query("BEGIN IMMEDIATE").execute(connection).await.map(drop)
}

/// Commits the transaction if its work succeeded, and rolls it back otherwise.
pub(super) async fn commit_or_roll_back<T>(
    connection: &mut SqliteConnection,
    work: Result<T, Error>,
) -> Result<T, Error> {
    let committed = match work {
        Ok(done) => sqlx::query("COMMIT").execute(&mut *connection).await.map(|_| done),
        Err(error) => Err(error),
    };
    if committed.is_err() {
        // SQLite has rolled back itself on some errors; then this statement fails and changes nothing.
        sqlx::query("ROLLBACK").execute(&mut *connection).await.ok();
    }
    committed
}

/// The error of a file that can't be read now.
pub(super) fn unreachable(error: Error) -> JournalError {
    JournalError::Unreachable(error.to_string())
}
