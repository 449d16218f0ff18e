//! A snapshot: one state of the database for all statements of a comparison.

use futures::{Stream, StreamExt as _, stream::BoxStream};
use sqlx::{AssertSqlSafe, Postgres, Sqlite, Transaction};
use weir_database::dialect::{Dialect, Pool};

/// Without a time limit, because no other transaction waits for this one.
const BEGIN_POSTGRES: &str =
    "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; SET LOCAL statement_timeout = 0";
/// Takes no lock. The first statement takes the snapshot.
const BEGIN_DEFERRED: &str = "BEGIN DEFERRED";

/// Grain, bucket, stage, type, campaign, values in the database, expected values, whether they are contradicted.
pub(super) type DifferenceRow = (i64, i64, i64, i64, String, String, String, i64);

/// A read-only transaction that sees one state of the database.
#[derive(Debug)]
pub(super) enum ReadTransaction {
    Postgres(Transaction<'static, Postgres>),
    Sqlite(Transaction<'static, Sqlite>),
}

impl ReadTransaction {
    pub(super) async fn begin(pool: &Pool) -> Result<Self, sqlx::Error> {
        Ok(match pool {
            Pool::Postgres(pool) => Self::Postgres(pool.begin_with(BEGIN_POSTGRES).await?),
            Pool::Sqlite(pool) => Self::Sqlite(pool.begin_with(BEGIN_DEFERRED).await?),
        })
    }

    pub(super) fn dialect(&self) -> Dialect {
        match self {
            Self::Postgres(_) => Dialect::Postgres,
            Self::Sqlite(_) => Dialect::Sqlite,
        }
    }

    /// One number, if there is one. The statements consist of constants and integers alone.
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

    /// Streams differences in pages of at most `most`, while the database finds them.
    pub(super) fn differences(
        &mut self,
        statement: String,
        most: usize,
    ) -> impl Stream<Item = Vec<Result<DifferenceRow, sqlx::Error>>> {
        let statement = AssertSqlSafe(statement);
        let found: BoxStream<'_, Result<DifferenceRow, sqlx::Error>> = match self {
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
