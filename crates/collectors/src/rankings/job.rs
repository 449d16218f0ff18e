//! The job of rankings: adds sales soon, and rebuilds from time to time.

use std::time::{Duration, Instant};

use tokio::time::sleep;
use tracing::debug;
use weir_database::dialect::Pool;
use weir_process::Stop;

use super::{RankingError, Rankings};
use crate::{metrics::RankingMetrics, outage::JobOutages, people::Backlog, store::Store};

/// The interval of looking for sales.
const CHECK_EVERY: Duration = Duration::from_millis(250);
/// So many transactions, or one so old, are worth a step. A step writes the rankings of its buckets anew; a report looks
/// up every campaign that sold meanwhile and is in no ranking.
const WORTH_ADDING: u64 = 8_192;
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// The pause after a step, as a multiple of its duration, so that storing gets most of the time; and while collectors have
/// a backlog. Sales of many different days change many rankings.
const PAUSES: u32 = 1;
const PAUSES_IN_BACKLOG: u32 = 3;
/// The interval of rebuilding, where the last time found nothing to rebuild.
const REBUILD_EVERY: Duration = Duration::from_secs(60);
/// The pause after a step of rebuilding, as a multiple of the step's duration.
const REBUILD_PAUSES: u32 = 2;

const WAITING: &str =
    "SELECT COALESCE(CAST(SUM(transactions) AS BIGINT), 0), MIN(stored_at) FROM campaign_deltas";

/// The job that adds sales to rankings.
#[derive(Debug)]
pub(crate) struct RankingJob {
    pub(crate) store: Store,
    pub(crate) backlog: Backlog,
    pub(crate) metrics: RankingMetrics,
}

impl RankingJob {
    /// Works until `stop`. Waits out an outage of the database.
    pub(crate) async fn run(self, stop: Stop) {
        let mut outages = JobOutages::of("ranking campaigns");
        while let Err(error) = self.work(&stop, &mut outages).await {
            outages.wait(&error, &stop).await;
        }
    }

    /// Works until `stop`, or until an error.
    async fn work(&self, stop: &Stop, outages: &mut JobOutages) -> Result<(), RankingError> {
        let rankings = Rankings::new(&self.store);
        let mut next_rebuild = Instant::now();
        while !stop.is_cancelled() {
            self.store.admits_this_build().await?;
            while self.is_due().await? {
                let started = Instant::now();
                let transactions = rankings.add_sales().await?;
                let took = started.elapsed();
                debug!(transactions, ?took, "added sales to the rankings");
                let pauses = if self.backlog.has_full_batches() { PAUSES_IN_BACKLOG } else { PAUSES };
                let stopped = stop.run_until_cancelled(sleep(took * pauses)).await.is_none();
                if transactions == 0 || stopped {
                    break;
                }
            }
            outages.end();
            if next_rebuild <= Instant::now() && !self.backlog.has_full_batches() {
                let started = Instant::now();
                let rebuilt = rankings.rebuild().await?;
                self.metrics.count_rebuilt(rebuilt);
                let after = if rebuilt > 0 { started.elapsed() * REBUILD_PAUSES } else { REBUILD_EVERY };
                next_rebuild = Instant::now() + after;
            }
            stop.run_until_cancelled(sleep(CHECK_EVERY)).await;
        }
        Ok(())
    }

    async fn is_due(&self) -> Result<bool, sqlx::Error> {
        let (transactions, oldest): (i64, Option<i64>) = match &self.store.pool {
            Pool::Postgres(pool) => sqlx::query_as(WAITING).fetch_one(pool).await?,
            Pool::Sqlite(pool) => sqlx::query_as(WAITING).fetch_one(pool).await?,
        };
        let transactions = transactions.unsigned_abs();
        self.metrics.show_waiting(transactions);
        let Some(oldest) = oldest else { return Ok(false) };
        let waits =
            Duration::from_micros(self.store.now().await?.saturating_sub(oldest).max(0).unsigned_abs());
        Ok(transactions >= WORTH_ADDING || waits >= LONGEST_WAIT)
    }
}
