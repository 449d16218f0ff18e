//! Connecting to the store: pools whose settings keep committed rows and give up in time.

use std::{sync::Arc, time::Duration};

use sea_orm::DatabaseConnection;
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection as _, Executor as _,
    postgres::{PgConnectOptions, PgPoolOptions},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tokio::time::{Instant, sleep};

use crate::{
    DatabaseUrl,
    fault::{FaultKind, StoreFault},
    probe,
    url::Location,
};

/// A statement waits this long for a connection of the pool, and SQLite for another process's write.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// The pause between two attempts at a server that is not there yet.
const PAUSE: Duration = Duration::from_millis(250);
/// Enough for the workers of both sources and a spare one; PostgreSQL allows 100 in all by default.
const POSTGRES_CONNECTIONS: u32 = 8;
/// A connection for reports that was used this recently is not tested again.
const RECENT_USE: Duration = Duration::from_secs(1);
/// Reports at once; more would only wait for the disk.
const SQLITE_READERS: u32 = 4;

/// The use of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Migrations and collectors. On SQLite one connection, because SQLite has one writer: the pool serves waiting
    /// statements in order, the lock of the file does not. A missing file is created.
    Write,
    /// Statements that read. SQLite connections refuse to write.
    Read,
    /// Reports: every transaction is one read-only snapshot in which sums of BIGINT are BIGINT, and PostgreSQL gives up
    /// a statement that takes longer than this. The settings are made once for each connection, because each statement
    /// is a round trip.
    Report(Duration),
}

/// Opens a pool. Waits up to `max_wait` for a server that is not there yet, and at least five seconds for another
/// process's lock on an SQLite file. An open pool outlives outages.
///
/// # Errors
/// The reason of the last attempt: after `max_wait`, or at once where the server or the file refuses.
pub async fn connect(
    url: &DatabaseUrl,
    access: Access,
    max_wait: Duration,
) -> Result<DatabaseConnection, StoreFault> {
    let start = Instant::now();
    let max_wait = if url.has_one_writer() { max_wait.max(ACQUIRE_TIMEOUT) } else { max_wait };
    loop {
        let fault = match attempt(url, access).await {
            Ok(database) => return Ok(database),
            Err(fault) => fault,
        };
        if fault.kind != FaultKind::Unavailable || start.elapsed() + PAUSE > max_wait {
            return Err(fault);
        }
        tracing::debug!(%fault, "the store is not there yet; connecting again");
        sleep(PAUSE).await;
    }
}

async fn attempt(url: &DatabaseUrl, access: Access) -> Result<DatabaseConnection, StoreFault> {
    match &url.0 {
        Location::Postgres(server) => {
            probe::probe(server).await?;
            let pool = postgres(&server.options, access).await;
            pool.map(Into::into).map_err(|error| StoreFault::of_server(&server.options, &error))
        }
        Location::Sqlite(options) => {
            let pool = sqlite(options, access).await;
            pool.map(Into::into).map_err(|error| StoreFault::of_file(url, &error))
        }
    }
}

async fn postgres(options: &PgConnectOptions, access: Access) -> Result<sqlx::PgPool, sqlx::Error> {
    let pool = PgPoolOptions::new().max_connections(POSTGRES_CONNECTIONS).acquire_timeout(ACQUIRE_TIMEOUT);
    let pool = match access {
        Access::Write | Access::Read => pool.after_release(|connection, _| {
            // A connection would keep the room of its largest statement, of some megabytes, for ever.
            connection.shrink_buffers();
            Box::pin(async { Ok(true) })
        }),
        Access::Report(timeout) => for_reports(pool, timeout),
    };
    pool.connect_with(options.clone().disable_statement_logging()).await
}

/// Settings of the connections that reports use.
fn for_reports(pool: PgPoolOptions, timeout: Duration) -> PgPoolOptions {
    // The aggregate of the migration `bigint_sums` comes before PostgreSQL's own in the search path: PostgreSQL's own
    // sum of BIGINT is NUMERIC, and several times slower where there are many groups. A month of rollups is added
    // up in 2 ms, and in 46 with parallel workers: PostgreSQL plans them because it overestimates the cost of many small parts. Compiling
    // a statement (jit) costs more than it saves on so few rows. A timeout of 0 would mean no limit.
    let settings = format!(
        "SET default_transaction_isolation = 'repeatable read'; SET default_transaction_read_only = on; \
         SET statement_timeout = {}; SET max_parallel_workers_per_gather = 0; SET jit = off; \
         SELECT set_config('search_path', current_setting('search_path') || ', pg_catalog', false)",
        timeout.as_millis().max(1)
    );
    let settings: Arc<str> = settings.into();
    let pool = pool.after_connect(move |connection, _| {
        let settings = Arc::clone(&settings);
        Box::pin(async move { connection.execute(sqlx::raw_sql(AssertSqlSafe(settings))).await.map(|_| ()) })
    });
    // A connection that was just used needs no test.
    pool.test_before_acquire(false).before_acquire(|connection, since| {
        Box::pin(async move {
            if since.idle_for > RECENT_USE {
                connection.ping().await?;
            }
            Ok(true)
        })
    })
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
        Access::Read | Access::Report(_) => (SQLITE_READERS, options.pragma("query_only", "ON")),
    };
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .connect_with(options)
        .await
}
