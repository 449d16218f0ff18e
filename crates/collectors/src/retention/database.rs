//! Removing from either database: one batch at a time, each of them one transaction.

use std::{io, ops::Range, time::Duration};

use chrono::Utc;
use sqlx::{Connection as _, PgConnection, SqlitePool};
use tokio::time::timeout;

use super::{postgres, sqlite};
use crate::store::{Pool, Store};

/// How long one step may take before its connection is given up: a half-open connection answers nothing.
const LIMIT: Duration = Duration::from_secs(15);

/// What is removed in batches, oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Rows of events, by when they were stored; their keys stay, and the horizon moves.
    Rows,
    /// Keys, by when their events were stored.
    Keys,
    /// Accounts of single frames, by commit; they are added to the totals.
    Frames,
}

/// What a batch removed of one source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Removed {
    /// `weir.event.v1.Source`.
    pub(super) source: i16,
    pub(super) number: u64,
    /// The newest moment among it, µs: the next batch begins there.
    pub(super) reached: i64,
}

/// A batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Batch {
    /// By source; empty where nothing is left.
    pub(super) removed: Vec<Removed>,
    /// How long storing had to wait for it, once it had what it waits for itself.
    pub(super) held: Duration,
}

/// What a sweep works on.
#[derive(Debug)]
pub(super) enum Database {
    /// A connection of its own: its session holds the right to sweep, which ends with it.
    Postgres(PgConnection),
    /// SQLite has one writer.
    Sqlite(SqlitePool),
}

impl Database {
    pub(super) async fn open(store: &Store) -> Result<Self, sqlx::Error> {
        match &store.pool {
            Pool::Postgres(pool) => in_time(postgres::connect(pool)).await.map(Self::Postgres),
            Pool::Sqlite(pool) => Ok(Self::Sqlite(pool.clone())),
        }
    }

    /// Takes the right to sweep, of which a PostgreSQL server has one; false where somebody else has it. Batches of
    /// several processes on one SQLite file take turns.
    pub(super) async fn claim(&mut self) -> Result<bool, sqlx::Error> {
        match self {
            Self::Postgres(connection) => in_time(postgres::claim(connection)).await,
            Self::Sqlite(_) => Ok(true),
        }
    }

    /// The time by the database's clock, or this process's where it is a file; µs since the Unix epoch.
    pub(super) async fn now(&mut self) -> Result<i64, sqlx::Error> {
        match self {
            Self::Postgres(connection) => in_time(postgres::now(connection)).await,
            Self::Sqlite(_) => Ok(Utc::now().timestamp_micros()),
        }
    }

    /// Removes at most `most` of a kind whose moments lie in `span`, µs.
    pub(super) async fn remove(
        &mut self,
        kind: Kind,
        span: Range<i64>,
        most: u32,
    ) -> Result<Batch, sqlx::Error> {
        match self {
            Self::Postgres(connection) => in_time(postgres::remove(connection, kind, span, most)).await,
            Self::Sqlite(pool) => in_time(sqlite::remove(pool, kind, span, most)).await,
        }
    }

    /// Removes erasures that concern only what arrived before them and were finished before `before`, µs.
    pub(super) async fn prune_erasures(&mut self, before: i64) -> Result<u64, sqlx::Error> {
        const PRUNE: &str = "DELETE FROM erasures WHERE NOT suppress AND completed_at < $1";
        in_time(async {
            Ok(match self {
                Self::Postgres(connection) => {
                    sqlx::query(PRUNE).bind(before).execute(connection).await?.rows_affected()
                }
                Self::Sqlite(pool) => sqlx::query(PRUNE).bind(before).execute(&*pool).await?.rows_affected(),
            })
        })
        .await
    }

    /// Since when rows are complete: source and µs, for the sources that had some removed.
    pub(super) async fn horizons(&mut self) -> Result<Vec<(i16, i64)>, sqlx::Error> {
        const HORIZONS: &str = "SELECT source, complete_from FROM horizons";
        in_time(async {
            match self {
                Self::Postgres(connection) => sqlx::query_as(HORIZONS).fetch_all(connection).await,
                Self::Sqlite(pool) => sqlx::query_as(HORIZONS).fetch_all(&*pool).await,
            }
        })
        .await
    }

    /// Gives the right to sweep back at once; a connection that is only dropped does so when the server notices.
    pub(super) async fn close(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Postgres(connection) => in_time(connection.close()).await,
            Self::Sqlite(_) => Ok(()),
        }
    }
}

async fn in_time<T>(step: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    let late = || io::Error::new(io::ErrorKind::TimedOut, "the database took too long").into();
    timeout(LIMIT, step).await.unwrap_or_else(|_| Err(late()))
}
