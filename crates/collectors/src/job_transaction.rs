//! A transaction of a job beside storing, on either database.

use std::time::Duration;

use sqlx::{PgPool, Postgres, Sqlite, Transaction};
use tokio::time::{Instant, sleep};
use weir_database::{advisory_lock::AdvisoryLock, dialect::Pool};

use crate::store::BEGIN_SQLITE;

/// All statements see one state of the database, because jobs compare its tables with each other.
const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ; SET LOCAL statement_timeout = '10s'; \
    SET LOCAL idle_in_transaction_session_timeout = '10s'; SET LOCAL max_parallel_workers_per_gather = 0; \
    SET LOCAL jit = off";

/// Without a time limit, because no other transaction waits for this one.
const BEGIN_READ_ONLY: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; \
    SET LOCAL statement_timeout = 0; SET LOCAL max_parallel_workers_per_gather = 0; SET LOCAL jit = off";

/// The longest wait for the lock of callers that can't skip their turn.
pub(crate) const LOCK_TIMEOUT: Duration = Duration::from_secs(10);
/// The interval of trying to get the lock.
pub(crate) const LOCK_POLL_INTERVAL: Duration = Duration::from_millis(20);

/// A transaction. It holds the lock of its job until it is committed or dropped, unless it only reads.
#[derive(Debug)]
pub(crate) enum JobTransaction {
    Postgres(Transaction<'static, Postgres>),
    Sqlite(Transaction<'static, Sqlite>),
}

/// Runs the same statements on either connection.
macro_rules! with_connection {
    ($transaction:expr, $connection:ident => $done:expr) => {
        match $transaction {
            $crate::job_transaction::JobTransaction::Postgres(transaction) => {
                let $connection = &mut **transaction;
                $done
            }
            $crate::job_transaction::JobTransaction::Sqlite(transaction) => {
                let $connection = &mut **transaction;
                $done
            }
        }
    };
}
pub(crate) use with_connection;

impl JobTransaction {
    /// Begins a transaction, where no other one holds the lock. All of its statements see one state of the database.
    pub(crate) async fn try_begin(pool: &Pool, lock: AdvisoryLock) -> Result<Option<Self>, sqlx::Error> {
        Ok(match pool {
            Pool::Postgres(pool) => try_begin_postgres(pool, lock).await?.map(Self::Postgres),
            Pool::Sqlite(pool) => Some(Self::Sqlite(pool.begin_with(BEGIN_SQLITE).await?)),
        })
    }

    /// [`Self::try_begin`] as soon as the lock is free; `None` where it was not for [`LOCK_TIMEOUT`].
    pub(crate) async fn begin_when_free(
        pool: &Pool,
        lock: AdvisoryLock,
    ) -> Result<Option<Self>, sqlx::Error> {
        let deadline = Instant::now() + LOCK_TIMEOUT;
        while Instant::now() < deadline {
            if let Some(transaction) = Self::try_begin(pool, lock).await? {
                return Ok(Some(transaction));
            }
            sleep(LOCK_POLL_INTERVAL).await;
        }
        Ok(None)
    }

    /// Begins a transaction that sees one state of the database and takes no lock.
    pub(crate) async fn begin_read_only(pool: &Pool) -> Result<Self, sqlx::Error> {
        Ok(match pool {
            Pool::Postgres(pool) => Self::Postgres(pool.begin_with(BEGIN_READ_ONLY).await?),
            Pool::Sqlite(pool) => Self::Sqlite(pool.begin_with("BEGIN DEFERRED").await?),
        })
    }

    pub(crate) async fn commit(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Postgres(transaction) => transaction.commit().await,
            Self::Sqlite(transaction) => transaction.commit().await,
        }
    }
}

async fn try_begin_postgres(
    pool: &PgPool,
    lock: AdvisoryLock,
) -> Result<Option<Transaction<'static, Postgres>>, sqlx::Error> {
    let mut transaction = pool.begin_with(BEGIN).await?;
    if lock.try_lock_transaction(&mut transaction).await? {
        return Ok(Some(transaction));
    }
    transaction.rollback().await?;
    Ok(None)
}
