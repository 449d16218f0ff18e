//! The store of events: frames become rows, each event once, and each frame leaves its accounts.

mod anonymize;
mod copy;
mod erased;
mod erasure;
mod frame_origins;
mod guards;
mod limits;
mod people_deltas;
mod postgres;
pub(crate) mod rollups;
mod row;
mod sqlite;
mod submission;

use std::collections::HashSet;

use chrono::Utc;
use sea_orm::DatabaseConnection;
use sqlx::{AssertSqlSafe, error::DatabaseError};
use tracing::{Span, field::Empty, info_span};
use weir_database::{
    OLDEST_WRITER, OutdatedWriter, check_writer, clock::NOW_IN_POSTGRES, dialect::Pool,
    error_class::ErrorClass,
};
use weir_journal::{Frame, Position};
use weir_process::trace;

use erased::ErasedCache;
pub use erased::ErasedPersons;
pub(crate) use erasure::last_arrival;
pub use erasure::{ErasureCounts, ErasureStage};
pub(crate) use limits::{BEGIN_SQLITE, ROWS_PER_STATEMENT, TRANSACTION_LIMIT, with_time_limit};
pub(crate) use postgres::COPY_EVENTS;
use postgres::{Caches, ClosedSegments, DuplicateLookup};
pub(crate) use row::to_smallint;
use submission::{Ending, Outcomes};
pub use submission::{FrameOutcome, RefusedEvent, Submission};

/// The tables of events, frames and their derived data. Cheap to clone; clones share connections and caches.
#[derive(Clone, Debug)]
pub struct Store {
    pub(crate) pool: Pool,
    pub(crate) database: DatabaseConnection,
    erased: ErasedCache,
    lookup: DuplicateLookup,
    segments: ClosedSegments,
}

/// The reason for which a transaction stored nothing.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database is unreachable, busy, full or damaged. The same frames can be stored later. Every error that is not
    /// known to be an event's own fault is transient, so that an outage makes no dead letters.
    #[error("the database can't be written now")]
    Transient(#[source] sqlx::Error),
    /// The schema admits newer builds alone: a newer collector stores the frames.
    #[error(transparent)]
    Outdated(OutdatedWriter),
    /// The database refuses an event for its content, and will refuse it again.
    #[error("the database refuses an event: {reason}")]
    Permanent { reason: String },
}

impl Store {
    /// The store of a database. A clone of the store shares its caches; a second `new` has caches of its own.
    #[must_use]
    pub fn new(database: &DatabaseConnection) -> Self {
        Self {
            pool: Pool::of(database),
            database: database.clone(),
            erased: ErasedCache::default(),
            lookup: DuplicateLookup::default(),
            segments: ClosedSegments::default(),
        }
    }

    /// Stores all submissions in one transaction, or none. Returns one outcome for each, in their order.
    ///
    /// When this returns `Ok`, the transaction is committed. A frame that was recorded before stays as it is.
    ///
    /// # Errors
    /// [`StoreError::Permanent`] where the database refuses an event; [`Store::refused_events`] finds it.
    pub async fn store(&self, submissions: &[Submission<'_>]) -> Result<Vec<FrameOutcome>, StoreError> {
        let mut seen = HashSet::new();
        let different: Vec<_> =
            submissions.iter().filter(|submission| seen.insert(submission.frame_id())).collect();
        let mut positions: Vec<_> = submissions.iter().filter_map(Submission::position).collect();
        positions.sort_unstable();
        let mut outcomes = self.transact(&different, &positions, Ending::Commit).await?;
        let outcome = |submission: &Submission<'_>| {
            let outcome = outcomes.get_mut(submission.frame_id()).expect("every frame has an outcome");
            // A frame that is in the batch twice is redelivered the second time.
            std::mem::replace(outcome, FrameOutcome { recorded_before: true, ..*outcome })
        };
        Ok(submissions.iter().map(outcome).collect())
    }

    /// Records frames as settled that leave nothing else in the store.
    ///
    /// # Errors
    /// Never [`StoreError::Permanent`].
    pub async fn record_settled(&self, positions: &[Position]) -> Result<(), StoreError> {
        self.transact(&[], positions, Ending::Commit).await.map(drop)
    }

    /// The events of a frame that the database refuses, found by bisection in transactions that are rolled back.
    ///
    /// # Errors
    /// Never [`StoreError::Permanent`].
    pub async fn refused_events(&self, frame: &Frame) -> Result<Vec<RefusedEvent>, StoreError> {
        let mut refused = Vec::new();
        let mut untried = vec![(0, frame.events.len())];
        while let Some((start, end)) = untried.pop() {
            let trial = Submission::part(frame, start..end);
            match self.transact(&[&trial], &[], Ending::RollBack).await {
                Ok(_) => {}
                Err(StoreError::Permanent { reason }) if end - start == 1 => {
                    refused.push(RefusedEvent { index: start, reason });
                }
                Err(StoreError::Permanent { .. }) => {
                    let middle = start.midpoint(end);
                    untried.extend([(middle, end), (start, middle)]);
                }
                Err(error @ (StoreError::Transient(_) | StoreError::Outdated(_))) => return Err(error),
            }
        }
        Ok(refused)
    }

    /// Runs one storing transaction. `submissions` are of different frames; `positions`, all that it settles, ascend.
    async fn transact<'a>(
        &self,
        submissions: &[&Submission<'a>],
        positions: &[Position],
        ending: Ending,
    ) -> Result<Outcomes<'a>, StoreError> {
        let outcomes = match &self.pool {
            Pool::Postgres(pool) => {
                let caches = Caches { erased: &self.erased, lookup: &self.lookup, segments: &self.segments };
                postgres::transact(pool, caches, submissions, positions, ending).await
            }
            Pool::Sqlite(pool) => sqlite::transact(pool, &self.erased, submissions, positions, ending).await,
        };
        outcomes.map_err(StoreError::from)
    }

    /// The time by the database's clock, or by this process's where the store is a file; µs since the Unix epoch.
    pub(crate) async fn now(&self) -> Result<i64, sqlx::Error> {
        match &self.pool {
            Pool::Postgres(pool) => {
                let query = AssertSqlSafe(format!("SELECT {NOW_IN_POSTGRES}"));
                with_time_limit(sqlx::query_scalar(query).fetch_one(pool)).await
            }
            Pool::Sqlite(_) => Ok(Utc::now().timestamp_micros()),
        }
    }

    /// Checks that the schema admits writes of this build. Storing transactions check it themselves.
    ///
    /// # Errors
    /// The schema admits newer builds alone, or the database can't be read.
    pub(crate) async fn admits_this_build(&self) -> Result<(), sqlx::Error> {
        let query = AssertSqlSafe(format!("SELECT {OLDEST_WRITER}"));
        let oldest: Option<String> = match &self.pool {
            Pool::Postgres(pool) => with_time_limit(sqlx::query_scalar(query).fetch_one(pool)).await?,
            Pool::Sqlite(pool) => sqlx::query_scalar(query).fetch_one(pool).await?,
        };
        check_writer(oldest.as_deref()).map_err(|refused| sqlx::Error::Configuration(refused.into()))
    }

    /// The span of one transaction that stores `events`, as part of `parent`. Its fields follow OpenTelemetry's
    /// conventions for databases; it has no value of any event.
    pub(crate) fn insert_span(&self, parent: &Span, events: u64) -> Span {
        const SUMMARY: &str = "BATCH INSERT events";
        let (address, namespace) = match &self.pool {
            Pool::Postgres(pool) => {
                let options = pool.connect_options();
                let port = options.get_port();
                let namespace = options.get_database().map(str::to_owned);
                (Some((options.get_host().to_owned(), port)), namespace)
            }
            Pool::Sqlite(_) => (None, None),
        };
        info_span!(
            target: trace::TARGET,
            parent: parent,
            "transaction",
            otel.name = SUMMARY,
            otel.kind = "client",
            db.system.name = self.pool.dialect().name(),
            db.namespace = namespace,
            db.operation.name = "BATCH INSERT",
            db.collection.name = "events",
            db.query.summary = SUMMARY,
            db.operation.batch.size = events,
            server.address = address.as_ref().map(|(host, _)| host.as_str()),
            server.port = address.as_ref().map(|(_, port)| *port),
            "error.type" = Empty,
        )
    }
}

impl StoreError {
    /// The value of `error.type` in traces: the database's own code, where it reported one.
    #[must_use]
    pub fn kind(&self) -> String {
        match self {
            Self::Permanent { .. } => "refused".to_owned(),
            Self::Outdated(_) => "outdated".to_owned(),
            Self::Transient(error) => {
                let code = error.as_database_error().and_then(DatabaseError::code);
                code.map_or_else(|| "unavailable".to_owned(), |code| code.into_owned())
            }
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        if let sqlx::Error::Configuration(reason) = &error
            && let Some(refused) = reason.downcast_ref::<OutdatedWriter>()
        {
            return Self::Outdated(refused.clone());
        }
        match (ErrorClass::of(&error), error.as_database_error()) {
            (ErrorClass::Permanent, Some(refusal)) => Self::Permanent { reason: reason(refusal) },
            _ => Self::Transient(error),
        }
    }
}

fn reason(error: &dyn DatabaseError) -> String {
    format!("{} (code {})", error.message(), error.code().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_of_the_pool_is_transient() {
        assert!(matches!(StoreError::from(sqlx::Error::PoolTimedOut), StoreError::Transient(_)));
    }
}
