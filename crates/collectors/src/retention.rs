//! Retention: what came in long enough ago is removed, in small batches beside the collectors' own work.
//!
//! Of a removed row stay its part of the rollups and its key, by which a late repeat is still a duplicate; of a frame
//! stay its accounts in the totals. docs/retention.md says what that means to people.

mod cutoffs;
mod database;
mod horizon;
mod pace;
mod postgres;
mod sqlite;
mod sweep;
mod sweeper;

use std::time::Duration;

pub(crate) use sweeper::Sweeper;

/// The number of the advisory lock of PostgreSQL ("weirrows" in ASCII) that the one collector holds which removes.
pub const SWEEP_LOCK: i64 = 0x7765_6972_726F_7773;

/// How long things are kept after they came in; `None` is for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Rows of events, and accounts of single frames.
    pub rows: Option<Duration>,
    /// Keys of events whose rows are removed; not shorter.
    pub keys: Option<Duration>,
}

impl Retention {
    /// Nothing is removed.
    pub const OFF: Self = Self { rows: None, keys: None };
}
