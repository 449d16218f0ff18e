//! The limits of a storing transaction, and the statements that begin one.

use std::{
    io::{Error, ErrorKind},
    time::Duration,
};

/// The time limit of a storing transaction. After it, the connection is closed, because a half-open one never answers.
pub(crate) const TRANSACTION_LIMIT: Duration = Duration::from_secs(15);

/// Begins a storing transaction on PostgreSQL.
///
/// The server's limits are shorter than [`TRANSACTION_LIMIT`], so that a table that is locked for long gathers no
/// abandoned transactions. The server also ends a transaction whose client is silent between two statements. Without
/// that, the claims behind a connection that died unnoticed would keep their frames from other collectors until the
/// server's TCP notices, hours later. The limits do not apply inside `COPY`: see `crate::stalled_copy`.
///
/// PostgreSQL overestimates look-ups of thousands of values, the more the larger the tables are, and then compiles such a
/// statement (jit), which costs more than to run it.
pub(crate) const BEGIN_POSTGRES: &str = "BEGIN; SET LOCAL statement_timeout = '10s'; \
    SET LOCAL idle_in_transaction_session_timeout = '10s'; SET LOCAL jit = off";

/// Begins a writing transaction on SQLite. It takes the write lock at once, because a deferred transaction fails when
/// it turns from reading to writing.
pub(crate) const BEGIN_SQLITE: &str = "BEGIN IMMEDIATE";
/// The rows of one statement on SQLite: enough that a statement's own cost vanishes, few enough that its text stays in
/// the statement cache.
pub(crate) const ROWS_PER_STATEMENT: usize = 32;

/// Runs `work` for at most [`TRANSACTION_LIMIT`].
///
/// # Errors
/// Those of `work`, and a timeout. After a timeout, the state of the connection is unknown.
pub(crate) async fn with_time_limit<T>(
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    with_limit(TRANSACTION_LIMIT, work).await
}

/// [`with_time_limit`] with another limit.
pub(super) async fn with_limit<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    let timeout = || Error::new(ErrorKind::TimedOut, "the database took too long");
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| Err(timeout().into()))
}

/// Whether the error is the timeout of [`with_time_limit`].
pub(super) fn is_timeout(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Io(error) if error.kind() == ErrorKind::TimedOut)
}
