//! Opening the store: pools whose settings keep what was committed and give up in time.

use std::time::Duration;

use sea_orm::DatabaseConnection;
use sqlx::{
    ConnectOptions,
    postgres::{PgConnectOptions, PgDatabaseError, PgPoolOptions},
    sqlite::{SqliteConnectOptions, SqliteError, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tokio::time::{Instant, sleep};

use crate::{DatabaseUrl, url::Place};

/// How long a statement waits for a connection of the pool, and SQLite for another process's write.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// Between two attempts at a server that is not there yet.
const PAUSE: Duration = Duration::from_millis(250);
/// Workers of both sources and a spare one; PostgreSQL allows 100 in all by default.
const POSTGRES_CONNECTIONS: u32 = 8;
/// Concurrent reports; more would only wait for the disk.
const SQLITE_READERS: u32 = 4;

/// What a pool is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Migrations and collectors. On SQLite one connection, because SQLite has one writer: waiting for it in the
    /// pool is fair, waiting for it in the file is not. The file is created where it is missing.
    Write,
    /// Reports. SQLite connections refuse to write.
    Read,
}

/// Why the store can't be opened. Names the place, never the password.
#[derive(Debug, thiserror::Error)]
#[error("{place} can't be opened")]
pub struct ConnectError {
    place: String,
    source: sqlx::Error,
}

/// Opens a pool. Waits for a server that is not there yet up to `patience`, for another process's hold on an SQLite
/// file at least five seconds; a pool that is open outlives outages.
///
/// # Errors
/// The last attempt's reason, after `patience`, or at once where waiting can't help.
pub async fn connect(
    url: &DatabaseUrl,
    access: Access,
    patience: Duration,
) -> Result<DatabaseConnection, ConnectError> {
    let start = Instant::now();
    loop {
        let source = match attempt(&url.0, access).await {
            Ok(database) => return Ok(database),
            Err(source) => source,
        };
        let patience = if is_busy(&source) { patience.max(ACQUIRE_TIMEOUT) } else { patience };
        if is_hopeless(&source) || start.elapsed() + PAUSE > patience {
            return Err(ConnectError { place: url.to_string(), source });
        }
        tracing::debug!(%url, error = %source, "store not there yet");
        sleep(PAUSE).await;
    }
}

/// Whether the answer stays the same however long one waits: the server or the file is there, and says no.
fn is_hopeless(error: &sqlx::Error) -> bool {
    let Some(refusal) = error.as_database_error() else { return false };
    let code = refusal.code().unwrap_or_default();
    if refusal.try_downcast_ref::<PgDatabaseError>().is_some() {
        // Invalid authorization, and no such database.
        return code.starts_with("28") || code == "3D000";
    }
    // The low byte of SQLite's code: READONLY, CANTOPEN, NOTADB.
    code.parse::<u32>().is_ok_and(|code| matches!(code & 0xFF, 8 | 14 | 26))
}

/// Whether another process holds the SQLite file for a moment. Its busy timeout does not cover the change of an
/// empty file to a write-ahead log, which processes that start at once all want to make.
fn is_busy(error: &sqlx::Error) -> bool {
    let Some(refusal) = error.as_database_error() else { return false };
    refusal.try_downcast_ref::<SqliteError>().is_some()
        && refusal.code().unwrap_or_default().parse::<u32>().is_ok_and(|code| matches!(code & 0xFF, 5 | 6))
}

async fn attempt(place: &Place, access: Access) -> Result<DatabaseConnection, sqlx::Error> {
    Ok(match place {
        Place::Postgres(options) => postgres(options).await?.into(),
        Place::Sqlite(options) => sqlite(options, access).await?.into(),
    })
}

async fn postgres(options: &PgConnectOptions) -> Result<sqlx::PgPool, sqlx::Error> {
    PgPoolOptions::new()
        .max_connections(POSTGRES_CONNECTIONS)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .connect_with(options.clone().application_name("weir").disable_statement_logging())
        .await
}

async fn sqlite(options: &SqliteConnectOptions, access: Access) -> Result<sqlx::SqlitePool, sqlx::Error> {
    let options = options
        .clone()
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(ACQUIRE_TIMEOUT)
        .disable_statement_logging();
    let (connections, options) = match access {
        Access::Write => (1, options.create_if_missing(true)),
        Access::Read => (SQLITE_READERS, options.pragma("query_only", "ON")),
    };
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .connect_with(options)
        .await
}
