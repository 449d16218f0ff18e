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
mod transaction;
mod verify;

pub(crate) use backlog::Backlog;
pub use error::PeopleError;
pub(crate) use fold_job::FoldJob;
pub(crate) use verify::{Mismatch, PeopleCounts};

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
};

use weir_database::dialect::Pool;

use crate::store::Store;

/// The tables of people, and the steps that change them. Cheap to clone.
#[derive(Clone, Debug)]
pub struct People {
    pool: Pool,
    /// Source and minute, and the rollups' count, where the rows have another count. Such a minute is not rebuilt
    /// again; `weir reconcile` repairs it.
    contradicted: Arc<Mutex<HashSet<(i16, i64, i64)>>>,
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
        Self { pool: store.pool.clone(), contradicted: Arc::default() }
    }
}
