//! One state of the store, to read from.

use futures::{Stream, StreamExt as _, stream::BoxStream};
use sqlx::{AssertSqlSafe, Postgres, Sqlite, Transaction};

use super::sql::Dialect;
use crate::store::Pool;

/// One state for all of its statements. Nobody waits for it, so it may take as long as it takes.
const BEGIN_POSTGRES: &str =
    "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; SET LOCAL statement_timeout = 0";
/// Takes no lock; the first statement takes the snapshot.
const BEGIN_SQLITE: &str = "BEGIN DEFERRED";

/// Grain, bucket, stage, type, campaign, what is written, what is expected, whether it is contradicted.
pub(super) type Found = (i64, i64, i64, i64, String, String, String, i64);

/// One state of the store.
#[derive(Debug)]
pub(super) enum Snapshot {
    Postgres(Transaction<'static, Postgres>),
    Sqlite(Transaction<'static, Sqlite>),
}

impl Snapshot {
    pub(super) async fn begin(pool: &Pool) -> Result<Self, sqlx::Error> {
        Ok(match pool {
            Pool::Postgres(pool) => Self::Postgres(pool.begin_with(BEGIN_POSTGRES).await?),
            Pool::Sqlite(pool) => Self::Sqlite(pool.begin_with(BEGIN_SQLITE).await?),
        })
    }

    pub(super) fn dialect(&self) -> Dialect {
        match self {
            Self::Postgres(_) => Dialect::Postgres,
            Self::Sqlite(_) => Dialect::Sqlite,
        }
    }

    /// One number, where there is one. Statements here are of constants and integers alone.
    pub(super) async fn number(&mut self, statement: String) -> Result<Option<i64>, sqlx::Error> {
        let statement = AssertSqlSafe(statement);
        let found: Option<Option<i64>> = match self {
            Self::Postgres(transaction) => {
                sqlx::query_scalar(statement).persistent(false).fetch_optional(&mut **transaction).await?
            }
            Self::Sqlite(transaction) => {
                sqlx::query_scalar(statement).persistent(false).fetch_optional(&mut **transaction).await?
            }
        };
        Ok(found.flatten())
    }

    /// Differences, at most `most` at a time, while the database finds them.
    pub(super) fn differences(
        &mut self,
        statement: String,
        most: usize,
    ) -> impl Stream<Item = Vec<Result<Found, sqlx::Error>>> {
        let statement = AssertSqlSafe(statement);
        let found: BoxStream<'_, Result<Found, sqlx::Error>> = match self {
            Self::Postgres(transaction) => {
                sqlx::query_as(statement).persistent(false).fetch(&mut **transaction)
            }
            Self::Sqlite(transaction) => {
                sqlx::query_as(statement).persistent(false).fetch(&mut **transaction)
            }
        };
        found.chunks(most)
    }

    pub(super) async fn end(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Postgres(transaction) => transaction.rollback().await,
            Self::Sqlite(transaction) => transaction.rollback().await,
        }
    }
}
