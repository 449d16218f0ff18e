//! The connection of a sweep to either database. Each batch is one transaction.

use std::ops::Range;

use chrono::Utc;
use sqlx::{Connection as _, PgConnection, SqlitePool};
use weir_database::dialect::Pool;
use weir_process::Stop;

use super::{
    batch::{RemovedBatch, RemovedOfSource, SweptTable},
    postgres,
    segments::{self, SegmentPart},
    sqlite,
};
use crate::store::{Store, with_time_limit};

/// The connection of a sweep.
#[derive(Debug)]
pub(super) enum SweepConnection {
    /// A connection of its own. Its session holds the lock of sweeps, which ends with it.
    Postgres(PgConnection),
    /// SQLite has one writer.
    Sqlite(SqlitePool),
}

impl SweepConnection {
    pub(super) async fn open(store: &Store) -> Result<Self, sqlx::Error> {
        match &store.pool {
            Pool::Postgres(pool) => with_time_limit(postgres::connect(pool)).await.map(Self::Postgres),
            Pool::Sqlite(pool) => Ok(Self::Sqlite(pool.clone())),
        }
    }

    /// Takes the lock of sweeps, of which a PostgreSQL database has one. Returns false where another process holds it.
    /// On SQLite, batches of several processes take turns without it.
    pub(super) async fn try_lock(&mut self) -> Result<bool, sqlx::Error> {
        match self {
            Self::Postgres(connection) => with_time_limit(postgres::try_lock(connection)).await,
            Self::Sqlite(_) => Ok(true),
        }
    }

    /// The time by the database's clock, or by this process's where the database is a file; µs since the Unix epoch.
    pub(super) async fn now(&mut self) -> Result<i64, sqlx::Error> {
        match self {
            Self::Postgres(connection) => with_time_limit(postgres::now(connection)).await,
            Self::Sqlite(_) => Ok(Utc::now().timestamp_micros()),
        }
    }

    /// Removes at most `most` rows of a table whose times are in `span`, µs since the Unix epoch.
    pub(super) async fn remove(
        &mut self,
        table: SweptTable,
        span: Range<i64>,
        most: u32,
    ) -> Result<RemovedBatch, sqlx::Error> {
        match self {
            Self::Postgres(connection) => {
                with_time_limit(postgres::remove(connection, table, span, most)).await
            }
            Self::Sqlite(pool) => with_time_limit(sqlite::remove(pool, table, span, most)).await,
        }
    }

    /// Removes the rows or the keys of the oldest segment that was closed before `before`, µs since the Unix epoch; `None`
    /// where there is none. SQLite has no segments.
    pub(super) async fn remove_segment(
        &mut self,
        part: SegmentPart,
        before: i64,
        stop: &Stop,
    ) -> Result<Option<Vec<RemovedOfSource>>, sqlx::Error> {
        let Self::Postgres(connection) = self else { return Ok(None) };
        let Some(segment) = segments::oldest_with(part, connection, before).await? else { return Ok(None) };
        segments::remove(part, connection, segment, stop).await.map(Some)
    }

    /// Removes erasures without `suppress` that were completed before `before`, µs since the Unix epoch.
    pub(super) async fn prune_erasures(&mut self, before: i64) -> Result<u64, sqlx::Error> {
        const PRUNE: &str = "DELETE FROM erasures WHERE NOT suppress AND completed_at < $1";
        with_time_limit(async {
            Ok(match self {
                Self::Postgres(connection) => {
                    sqlx::query(PRUNE).bind(before).execute(connection).await?.rows_affected()
                }
                Self::Sqlite(pool) => sqlx::query(PRUNE).bind(before).execute(&*pool).await?.rows_affected(),
            })
        })
        .await
    }

    /// The horizons: source, and the time from which on its rows are complete, µs since the Unix epoch. A source
    /// without removed rows has none.
    pub(super) async fn horizons(&mut self) -> Result<Vec<(i16, i64)>, sqlx::Error> {
        const HORIZONS: &str = "SELECT source, complete_from FROM horizons";
        with_time_limit(async {
            match self {
                Self::Postgres(connection) => sqlx::query_as(HORIZONS).fetch_all(connection).await,
                Self::Sqlite(pool) => sqlx::query_as(HORIZONS).fetch_all(&*pool).await,
            }
        })
        .await
    }

    /// Releases the lock of sweeps at once. After a mere drop, it is released when the server notices.
    pub(super) async fn close(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Postgres(connection) => with_time_limit(connection.close()).await,
            Self::Sqlite(_) => Ok(()),
        }
    }
}
