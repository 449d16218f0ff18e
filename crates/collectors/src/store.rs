//! The store as collectors write it: frames become rows, each event once, and each frame leaves its accounts.

mod audit;
mod columns;
mod erased;
mod erasure;
mod error;
mod guards;
mod journal_states;
mod keys;
mod occurrence;
mod people_deltas;
pub(crate) mod postgres;
pub(crate) mod rollups;
pub(crate) mod row;
mod settled;
mod span;
pub(crate) mod sqlite;
mod stalled_copy;
mod submission;

use std::collections::{HashMap, HashSet};

use chrono::Utc;
use sea_orm::{DatabaseConnection, DbBackend};
use sqlx::AssertSqlSafe;
use weir_database::{OLDEST_WRITER, check_writer, clock::NOW_IN_POSTGRES};
use weir_journal::{Frame, Position};

pub(crate) use audit::AuditedPart;
pub use erased::ErasedPersons;
use erased::KnownErased;
pub use erasure::{ErasureCounts, ErasureStage};
pub use error::StoreError;
pub use keys::EventKey;
pub use submission::Submission;

/// The number of the advisory lock of PostgreSQL ("weirstor" in ASCII) that storing transactions share. Whoever removes
/// rows, or records whom to forget, takes it alone and for a short while: so no event is stored again while its row
/// becomes a key, and none slips in behind its person's erasure. SQLite has one writer anyway.
pub const STORE_LOCK: i64 = 0x7765_6972_7374_6f72;

/// The tables of events, of frames and of what else is known of them. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    pub(crate) pool: Pool,
    database: DatabaseConnection,
    known: Known,
}

/// What a process knows of what the store has. Cheap to clone.
#[derive(Clone, Debug, Default)]
struct Known {
    erased: KnownErased,
    events: postgres::KnownEvents,
}

/// The connections of a store.
#[derive(Clone, Debug)]
pub(crate) enum Pool {
    Postgres(sqlx::PgPool),
    Sqlite(sqlx::SqlitePool),
}

/// What became of a frame; `stored + duplicate + parked` is [`Frame::accepted`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameOutcome {
    /// Events that became rows.
    pub stored: u64,
    /// Events whose identity was there before, repeats in their own array included.
    pub duplicate: u64,
    /// Events that the database refuses.
    pub parked: u64,
    /// These are the accounts of an earlier delivery; this one changed nothing.
    pub recorded_before: bool,
}

impl FrameOutcome {
    /// As the table of frames has it.
    fn recorded_before(stored: i64, duplicate: i64, parked: i64) -> Self {
        let [stored, duplicate, parked] = [stored, duplicate, parked].map(i64::unsigned_abs);
        Self { stored, duplicate, parked, recorded_before: true }
    }
}

/// An event that the database refuses whenever it is tried, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedEvent {
    /// Its place in the frame.
    pub index: usize,
    /// The database's code and message, for the people who mend dead letters.
    pub reason: String,
}

/// How a transaction ends that came through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Commit,
    /// It was only a trial.
    RollBack,
}

type Outcomes<'a> = HashMap<&'a str, FrameOutcome>;

impl Store {
    /// The time by the database's clock, or by this process's where the store is a file; µs since the Unix epoch.
    pub(crate) async fn now(&self) -> Result<i64, sqlx::Error> {
        match &self.pool {
            Pool::Postgres(pool) => {
                let question = AssertSqlSafe(format!("SELECT {NOW_IN_POSTGRES}"));
                postgres::in_time(sqlx::query_scalar(question).fetch_one(pool)).await
            }
            Pool::Sqlite(_) => Ok(Utc::now().timestamp_micros()),
        }
    }

    /// Whether this build may write, for work that is no storing.
    ///
    /// # Errors
    /// It may not, or the store can't be read.
    pub(crate) async fn admits_this_build(&self) -> Result<(), sqlx::Error> {
        let question = AssertSqlSafe(format!("SELECT {OLDEST_WRITER}"));
        let oldest: Option<String> = match &self.pool {
            Pool::Postgres(pool) => postgres::in_time(sqlx::query_scalar(question).fetch_one(pool)).await?,
            Pool::Sqlite(pool) => sqlx::query_scalar(question).fetch_one(pool).await?,
        };
        check_writer(oldest.as_deref()).map_err(|refused| sqlx::Error::Configuration(refused.into()))
    }

    #[must_use]
    pub fn new(database: &DatabaseConnection) -> Self {
        let pool = match database.get_database_backend() {
            DbBackend::Postgres => Pool::Postgres(database.get_postgres_connection_pool().clone()),
            _ => Pool::Sqlite(database.get_sqlite_connection_pool().clone()),
        };
        Self { pool, database: database.clone(), known: Known::default() }
    }

    /// Stores all of it in one transaction, or nothing; one outcome for each submission, in their order.
    /// When this returns `Ok`, all of it is committed. A frame that was recorded before is left as it is.
    ///
    /// # Errors
    /// [`StoreError::Permanent`] where an event is refused; [`Store::refused_events`] finds it.
    pub async fn store(&self, submissions: &[Submission<'_>]) -> Result<Vec<FrameOutcome>, StoreError> {
        let mut seen = HashSet::new();
        let different: Vec<_> =
            submissions.iter().filter(|submission| seen.insert(submission.frame_id())).collect();
        let mut positions: Vec<_> = submissions.iter().filter_map(Submission::position).collect();
        positions.sort_unstable();
        let mut outcomes = self.transact(&different, &positions, Ending::Commit).await?;
        let told_once = |submission: &Submission<'_>| {
            let outcome = outcomes.get_mut(submission.frame_id()).expect("every frame has an outcome");
            // A frame that is offered twice in one batch is redelivered the second time.
            std::mem::replace(outcome, FrameOutcome { recorded_before: true, ..*outcome })
        };
        Ok(submissions.iter().map(told_once).collect())
    }

    /// The events of a frame that the database refuses, found by bisection in transactions that change nothing.
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

    /// `submissions` are of different frames, `positions` of all that are settled by it and ascending.
    async fn transact<'a>(
        &self,
        submissions: &[&Submission<'a>],
        positions: &[Position],
        ending: Ending,
    ) -> Result<Outcomes<'a>, StoreError> {
        let outcomes = match &self.pool {
            Pool::Postgres(pool) => {
                postgres::transact(pool, &self.known, submissions, positions, ending).await
            }
            Pool::Sqlite(pool) => {
                sqlite::transact(pool, &self.known.erased, submissions, positions, ending).await
            }
        };
        outcomes.map_err(StoreError::from)
    }
}
