//! Rankings of campaigns: a job adds the sales that storing notes to the rankings of their minutes, hours and days.
//!
//! Each step is one transaction that leaves the tables consistent: a ranking has exactly the sales of its bucket that
//! are in no delta. It holds a lock that one process of the fleet has at a time. `weir_database::rankings` documents the
//! tables, docs/rankings.md the costs.

mod add_sales;
mod job;
mod rebuild;
mod transaction;
mod verify;

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
};

use weir_database::{
    dialect::Pool,
    rankings::{Ranking, Sales},
};

pub(crate) use self::{job::RankingJob, verify::WrongRanking};
use crate::{people::BucketKey, store::Store};

/// The rankings of a store, and the steps that change them. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Rankings {
    pool: Pool,
    /// Buckets whose campaigns have other sums than the rollups by source, with the sums of both. Such a ranking is not
    /// rebuilt again; `weir reconcile` repairs the rollups.
    contradicted: Arc<Mutex<HashSet<(BucketKey, BucketSums)>>>,
}

/// The reason for which a transaction changed nothing: it is rolled back.
#[derive(Debug, thiserror::Error)]
pub enum RankingError {
    /// The database can't be read or written.
    #[error("the rankings of campaigns can't be read or written")]
    Store(#[from] sqlx::Error),
    /// Another process held the lock of rankings for too long.
    #[error("the rankings of campaigns are locked by another process for too long")]
    Busy,
}

/// The sums of a bucket in the rollups by source, and those of its ranking and of deltas together.
type BucketSums = (Sales, Sales);

/// A row of `campaign_rankings`.
#[derive(Debug, Default)]
struct RankedBucket {
    /// The sum over all campaigns of the bucket, ranked or not.
    sales: Sales,
    ranking: Ranking,
}

impl Rankings {
    /// The rankings of a store.
    #[must_use]
    pub fn new(store: &Store) -> Self {
        Self { pool: store.pool.clone(), contradicted: Arc::default() }
    }
}
