//! The job of people: folds soon, rebuilds and prunes from time to time, and gives way to storing.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use tokio::time::sleep;
use tracing::{debug, info};
use weir_database::dialect::Pool;
use weir_event::Source;
use weir_process::Stop;

use super::{
    Backlog, People, PeopleError, StepOutcome,
    adaptive_batch::{AdaptiveBatch, StoreLoad},
};
use crate::{
    metrics::PeopleMetrics,
    outage::JobOutages,
    store::{Store, to_smallint},
};

/// The interval of looking for deltas.
const CHECK_EVERY: Duration = Duration::from_millis(250);
/// The interval of rebuilding and pruning, where the last time found nothing to rebuild.
const MAINTAIN_EVERY: Duration = Duration::from_secs(60);
/// The pause after a step of rebuilding, as a multiple of the step's duration.
const REBUILD_PAUSES: u32 = 2;

/// So many observations, or one so old, are worth a step of sketching. Each step writes the sketches of a minute, an hour
/// and a day anew.
const WORTH_SKETCHING: u64 = 65_536;
const LONGEST_UNSKETCHED: Duration = Duration::from_secs(2);

const UNSKETCHED: &str = "SELECT COALESCE(CAST(SUM(sightings) AS BIGINT), 0), MIN(stored_at) FROM people_deltas \
    WHERE source = $1 AND erasure_id IS NULL AND NOT sketched";
const WAITING: &str = "SELECT COALESCE(CAST(SUM(sightings) AS BIGINT), 0), MIN(stored_at) FROM people_deltas \
    WHERE source = $1 AND erasure_id IS NULL";

/// The job that folds deltas.
#[derive(Debug)]
pub(crate) struct FoldJob {
    pub(crate) store: Store,
    pub(crate) backlog: Backlog,
    pub(crate) metrics: PeopleMetrics,
}

impl FoldJob {
    /// Works until `stop`. Waits out an outage of the database.
    pub(crate) async fn run(self, stop: Stop) {
        let mut outages = JobOutages::of("folding");
        while let Err(error) = self.work(&stop, &mut outages).await {
            outages.wait(&error, &stop).await;
        }
    }

    /// Works until `stop`, or until an error.
    async fn work(&self, stop: &Stop, outages: &mut JobOutages) -> Result<(), PeopleError> {
        let (people, mut batch) = (People::new(&self.store), AdaptiveBatch::default());
        let mut left = HashMap::new();
        let mut next_maintenance = Instant::now();
        while !stop.is_cancelled() {
            self.store.admits_this_build().await?;
            let mut pause = CHECK_EVERY;
            for source in Source::ALL {
                self.sketch(&people, source).await?;
                if let Some(after) =
                    self.fold(&people, source, &mut batch, left.entry(source).or_default()).await?
                {
                    stop.run_until_cancelled(sleep(after)).await;
                    pause = Duration::ZERO;
                }
            }
            outages.end();
            if next_maintenance <= Instant::now() && !self.backlog.has_full_batches() {
                let started = Instant::now();
                let found = self.maintain(&people).await?;
                let after = if found { started.elapsed() * REBUILD_PAUSES } else { MAINTAIN_EVERY };
                next_maintenance = Instant::now() + after;
            }
            stop.run_until_cancelled(sleep(pause)).await;
        }
        Ok(())
    }

    /// Folds some deltas of a source where a fold is due, and returns the pause after it. `left` is the number of
    /// observations that waited at the last look: where more wait now, a collector is storing, in this process or
    /// another one.
    async fn fold(
        &self,
        people: &People,
        source: &Source,
        batch: &mut AdaptiveBatch,
        left: &mut u64,
    ) -> Result<Option<Duration>, PeopleError> {
        let number = to_smallint(source.number());
        let (observations, oldest) = self.waiting(WAITING, number).await?;
        self.metrics.show_waiting(*source, observations, oldest);
        let backlog = self.backlog.has_full_batches();
        let store_load = StoreLoad::now(observations, backlog, observations > *left);
        *left = observations;
        if !AdaptiveBatch::is_due(observations, oldest, backlog) {
            return Ok(None);
        }
        let started = Instant::now();
        let StepOutcome::Changed(folded) = people.fold(number, batch.size()).await? else { return Ok(None) };
        *left = left.saturating_sub(folded);
        self.metrics.count_folded(*source, folded, started.elapsed());
        debug!(source = source.name(), folded, took = ?started.elapsed(), "folded observations");
        Ok(Some(batch.after(started.elapsed(), store_load)))
    }

    /// Adds observations to the sketches, as long as there are many, or an old one.
    async fn sketch(&self, people: &People, source: &Source) -> Result<(), PeopleError> {
        let number = to_smallint(source.number());
        loop {
            let (observations, oldest) = self.waiting(UNSKETCHED, number).await?;
            let is_due =
                observations >= WORTH_SKETCHING || (observations > 0 && oldest >= LONGEST_UNSKETCHED);
            if !is_due || !matches!(people.sketch(number).await?, StepOutcome::Changed(_)) {
                return Ok(());
            }
        }
    }

    /// The number of observations that wait, and the age of the oldest.
    async fn waiting(&self, statement: &'static str, source: i16) -> Result<(u64, Duration), sqlx::Error> {
        let (observations, oldest): (i64, Option<i64>) = match &self.store.pool {
            Pool::Postgres(pool) => sqlx::query_as(statement).bind(source).fetch_one(pool).await?,
            Pool::Sqlite(pool) => sqlx::query_as(statement).bind(source).fetch_one(pool).await?,
        };
        let waits = match oldest {
            Some(oldest) => self.store.now().await?.saturating_sub(oldest),
            None => 0,
        };
        Ok((observations.unsigned_abs(), Duration::from_micros(waits.max(0).unsigned_abs())))
    }

    /// Rebuilds and prunes. Returns whether there may be more to rebuild.
    async fn maintain(&self, people: &People) -> Result<bool, PeopleError> {
        let mut found = false;
        for source in Source::ALL {
            let number = to_smallint(source.number());
            if let StepOutcome::Changed(minutes) = people.rebuild(number).await? {
                self.metrics.count_rebuilt(*source, minutes);
                found = true;
                continue;
            }
            if let StepOutcome::Changed(minutes) = people.rebuild_sketches(number).await? {
                self.metrics.count_rebuilt(*source, minutes);
                found = true;
                continue;
            }
            let pruned = people.prune(number).await?;
            if pruned > 0 {
                info!(source = source.name(), pruned, "pruned people without rows");
            }
        }
        Ok(found)
    }
}
