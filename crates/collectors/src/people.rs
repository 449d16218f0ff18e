//! Distinct users: what storing noted is folded into sets of numbers, beside the collectors' own work.
//!
//! Every step is one transaction that leaves the tables true, under a lock that one of the fleet has at a time, so
//! whoever is killed leaves nothing half done and nobody does anything twice. `weir_database::people` says what the
//! tables hold, docs/people.md what that costs.

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
pub(crate) use fold_job::Folder;
pub(crate) use verify::{Astray, Told};

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
};

use crate::store::{Pool, Store};

/// The number of the advisory lock of PostgreSQL ("weirfold" in ASCII) that a transaction takes which changes numbers or
/// sets. SQLite has one writer.
pub const PEOPLE_LOCK: i64 = 0x7765_6972_666F_6C64;

/// The tables of people, to be changed. Cheap to clone.
#[derive(Clone, Debug)]
pub struct People {
    pool: Pool,
    /// Source, minute and what the rollups count there, where the rows say something else: `weir reconcile` is for that.
    contradicted: Arc<Mutex<HashSet<(i16, i64, i64)>>>,
}

/// What one step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// As many sightings were folded, minutes mended or people pruned; there may be more to do.
    Did(u64),
    /// There was nothing to do.
    Idle,
    /// Somebody else has the lock.
    Busy,
}

impl People {
    #[must_use]
    pub fn new(store: &Store) -> Self {
        Self { pool: store.pool.clone(), contradicted: Arc::default() }
    }
}
