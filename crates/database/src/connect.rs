//! Opening the store: pools whose settings keep what was committed and give up in time.

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
    fault::{Outlook, StoreFault},
    probe,
    url::Place,
};

/// How long a statement waits for a connection of the pool, and SQLite for another process's write.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// Between two attempts at a server that is not there yet.
const PAUSE: Duration = Duration::from_millis(250);
/// Workers of both sources and a spare one; PostgreSQL allows 100 in all by default.
const POSTGRES_CONNECTIONS: u32 = 8;
/// How long a connection for reports is taken to stand after its last use.
const FRESH: Duration = Duration::from_secs(1);
/// Concurrent reports; more would only wait for the disk.
const SQLITE_READERS: u32 = 4;

/// What a pool is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Migrations and collectors. On SQLite one connection, because SQLite has one writer: waiting for it in the
    /// pool is fair, waiting for it in the file is not. The file is created where it is missing.
    Write,
    /// Looking. SQLite connections refuse to write.
    Read,
    /// Reports: every transaction is one read-only snapshot in which sums of BIGINT are BIGINT, and PostgreSQL gives up
    /// a statement that takes longer than this. What a connection says once no report has to say again: each statement
    /// is a way to the server and back.
    Report(Duration),
}

/// Opens a pool. Waits for a server that is not there yet up to `patience`, for another process's hold on an SQLite
/// file at least five seconds; a pool that is open outlives outages.
///
/// # Errors
/// The last attempt's reason, after `patience`, or at once where the server or the file is there and says no.
pub async fn connect(
    url: &DatabaseUrl,
    access: Access,
    patience: Duration,
) -> Result<DatabaseConnection, StoreFault> {
    let start = Instant::now();
    let patience = if url.has_one_writer() { patience.max(ACQUIRE_TIMEOUT) } else { patience };
    loop {
        let fault = match attempt(url, access).await {
            Ok(database) => return Ok(database),
            Err(fault) => fault,
        };
        if fault.outlook != Outlook::Away || start.elapsed() + PAUSE > patience {
            return Err(fault);
        }
        tracing::debug!(%fault, "store not there yet");
        sleep(PAUSE).await;
    }
}

async fn attempt(url: &DatabaseUrl, access: Access) -> Result<DatabaseConnection, StoreFault> {
    match &url.0 {
        Place::Postgres(server) => {
            probe::probe(server).await?;
            let pool = postgres(&server.options, access).await;
            pool.map(Into::into).map_err(|error| StoreFault::of_server(&server.options, &error))
        }
        Place::Sqlite(options) => {
            let pool = sqlite(options, access).await;
            pool.map(Into::into).map_err(|error| StoreFault::of_file(url, &error))
        }
    }
}

async fn postgres(options: &PgConnectOptions, access: Access) -> Result<sqlx::PgPool, sqlx::Error> {
    let pool = PgPoolOptions::new().max_connections(POSTGRES_CONNECTIONS).acquire_timeout(ACQUIRE_TIMEOUT);
    let pool = match access {
        Access::Write | Access::Read => pool,
        Access::Report(timeout) => for_reports(pool, timeout),
    };
    pool.connect_with(options.clone().disable_statement_logging()).await
}
fn for_reports(pool: PgPoolOptions, timeout: Duration) -> PgPoolOptions {
    // The aggregate of the migration `bigint_sums` goes before PostgreSQL's own, whose sums of BIGINT are NUMERIC and
    // cost a multiple where there are many groups. A month of rollups is added up in 2 ms, and in 46 with the parallel
    // workers that PostgreSQL plans because it thinks too badly of so many small parts. Compiling a statement (jit) costs
    // more than it saves on so few rows. A timeout of 0 would be none.
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
    // A connection that was just used needs no look whether it still stands.
    pool.test_before_acquire(false).before_acquire(|connection, since| {
        Box::pin(async move {
            if since.idle_for > FRESH {
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
