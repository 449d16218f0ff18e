//! Distinct users: a job folds the observations that storing leaves into sets of numbers.
//!
//! Each step is one transaction that leaves the tables consistent. It holds a lock that one process of the fleet has at
//! a time, so that a killed process leaves no step half done, and no step is done twice. `weir_database::people`
//! documents the tables, docs/people.md the costs.

mod adaptive_batch;
mod backlog;
mod dictionary;
mod erase;
mod error;
mod fold;
mod fold_job;
mod minutes;
mod prune;
mod rebuild;
mod sketching;
mod transaction;
mod verify;
mod verify_sketches;

pub(crate) use backlog::Backlog;
pub use error::PeopleError;
pub(crate) use fold_job::FoldJob;

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
};

use weir_database::dialect::Pool;

pub(crate) use self::transaction::BucketKey;
use crate::store::Store;

/// The tables of people, and the steps that change them. Cheap to clone.
#[derive(Clone, Debug)]
pub struct People {
    pool: Pool,
    /// Minutes whose rows have another count than the rollups. Such a minute is not rebuilt again; `weir reconcile`
    /// repairs it.
    contradicted: Arc<Mutex<HashSet<ContradictedMinute>>>,
    /// Days with more users are kept as sketches alone: their users get no numbers.
    most_numbered_users: i64,
}

/// Above two million users an answer may be an estimate. A tenth more keeps the days exact whose sketch errs upwards.
const MOST_NUMBERED_USERS: i64 = 2_200_000;

/// Structure, source and minute, and the rollups' count, where the rows have another count.
type ContradictedMinute = (Derived, i16, i64, i64);

/// The two structures that are derived from rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Derived {
    Sets,
    Sketches,
}

impl Derived {
    fn table(self) -> &'static str {
        match self {
            Self::Sets => "people_sets",
            Self::Sketches => "people_sketches",
        }
    }
}

/// A bucket whose sets or sketch contain wrong people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mismatch {
    pub(crate) bucket: BucketKey,
    pub(crate) written: PeopleCounts,
    pub(crate) expected: PeopleCounts,
    /// Users and members of groups that it contains and should not, or should contain and do not.
    pub(crate) misplaced: u64,
}

/// The counts of one bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PeopleCounts {
    pub(crate) users: u64,
    /// Observations in it, without those that wait in deltas.
    pub(crate) observations: i64,
}

/// The outcome of one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepOutcome {
    /// The step folded so many observations or rebuilt so many minutes. There may be more to do.
    Changed(u64),
    /// There was nothing to do.
    Idle,
    /// Another process has the lock.
    Busy,
}

impl People {
    /// The tables of people of a store.
    #[must_use]
    pub fn new(store: &Store) -> Self {
        Self {
            pool: store.pool.clone(),
            contradicted: Arc::default(),
            most_numbered_users: MOST_NUMBERED_USERS,
        }
    }

    /// The same with another number of users above which a day is kept as a sketch alone.
    #[must_use]
    pub fn with_most_numbered_users(self, users: i64) -> Self {
        Self { most_numbered_users: users, ..self }
    }
}
