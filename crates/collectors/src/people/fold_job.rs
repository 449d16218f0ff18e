//! The job: folding soon, mending and pruning now and then, giving way to who stores.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use tokio::time::sleep;
use tracing::{debug, info, warn};
use weir_event::Source;
use weir_process::Stop;

use super::{
    Backlog, People, PeopleError, Step,
    adaptive_batch::{Pace, Storing},
};
use crate::{
    backoff::Backoff,
    metrics::PeopleMetrics,
    store::{Pool, Store, row::small},
};

/// Between two looks at what waits.
const LOOK: Duration = Duration::from_millis(250);
/// Between two looks for what is missing in the sets, or behind the horizon, where the last one found nothing.
const CARE: Duration = Duration::from_secs(60);
/// A mending step is followed by a pause that is so many times as long.
const MENDING_PAUSES: u32 = 2;

const WAITING: &str = "SELECT COALESCE(CAST(SUM(sightings) AS BIGINT), 0), MIN(stored_at) FROM people_deltas \
    WHERE source = $1 AND erasure_id IS NULL";

/// Folds what storing notes.
#[derive(Debug)]
pub(crate) struct Folder {
    pub(crate) store: Store,
    pub(crate) backlog: Backlog,
    pub(crate) metrics: PeopleMetrics,
}

impl Folder {
    /// Works until `stop`; an outage of the database is waited out.
    pub(crate) async fn run(self, stop: Stop) {
        let mut backoff = Backoff::default();
        while !stop.is_cancelled() {
            match self.work(&stop, &mut backoff).await {
                Ok(()) => {}
                Err(error) if backoff.is_fresh() => warn!(%error, "people are not folded for now"),
                Err(error) => debug!(%error, "people are still not folded"),
            }
            backoff.pause(&stop).await;
        }
    }

    /// Until `stop`, or until something fails.
    async fn work(&self, stop: &Stop, backoff: &mut Backoff) -> Result<(), PeopleError> {
        let (people, mut pace) = (People::new(&self.store), Pace::default());
        let mut left = HashMap::new();
        let mut care = Instant::now();
        while !stop.is_cancelled() {
            self.store.admits_this_build().await?;
            let mut pause = LOOK;
            for source in Source::ALL {
                if let Some(after) =
                    self.fold(&people, source, &mut pace, left.entry(source).or_default()).await?
                {
                    stop.run_until_cancelled(sleep(after)).await;
                    pause = Duration::ZERO;
                }
            }
            if backoff.reset() {
                info!("people are folded again");
            }
            if care <= Instant::now() && !self.backlog.is_there() {
                let started = Instant::now();
                let found = self.care(&people).await?;
                let after = if found { started.elapsed() * MENDING_PAUSES } else { CARE };
                care = Instant::now() + after;
            }
            stop.run_until_cancelled(sleep(pause)).await;
        }
        Ok(())
    }

    /// Folds some of a source, where it is time to, and returns the pause after it. `left` is how many sightings waited
    /// when it was last looked: where they are more, somebody stores, in whichever process.
    async fn fold(
        &self,
        people: &People,
        source: &Source,
        pace: &mut Pace,
        left: &mut u64,
    ) -> Result<Option<Duration>, PeopleError> {
        let number = small(source.number());
        let (sightings, oldest) = self.waiting(number).await?;
        self.metrics.show_waiting(*source, sightings, oldest);
        let backlog = self.backlog.is_there();
        let storing = Storing::now(sightings, backlog, sightings > *left);
        *left = sightings;
        if !Pace::is_due(sightings, oldest, backlog) {
            return Ok(None);
        }
        let started = Instant::now();
        let Step::Did(folded) = people.fold(number, pace.size()).await? else { return Ok(None) };
        *left = left.saturating_sub(folded);
        self.metrics.count_folded(*source, folded, started.elapsed());
        debug!(source = source.name(), folded, took = ?started.elapsed(), "folded people");
        Ok(Some(pace.after(started.elapsed(), storing)))
    }

    /// How many sightings wait, and how long the oldest has.
    async fn waiting(&self, source: i16) -> Result<(u64, Duration), sqlx::Error> {
        let (sightings, oldest): (i64, Option<i64>) = match &self.store.pool {
            Pool::Postgres(pool) => sqlx::query_as(WAITING).bind(source).fetch_one(pool).await?,
            Pool::Sqlite(pool) => sqlx::query_as(WAITING).bind(source).fetch_one(pool).await?,
        };
        let waits = match oldest {
            Some(oldest) => self.store.now().await?.saturating_sub(oldest),
            None => 0,
        };
        Ok((sightings.unsigned_abs(), Duration::from_micros(waits.max(0).unsigned_abs())))
    }

    /// Mends and prunes; whether there may be more to mend.
    async fn care(&self, people: &People) -> Result<bool, PeopleError> {
        let mut found = false;
        for source in Source::ALL {
            let number = small(source.number());
            if let Step::Did(minutes) = people.mend(number).await? {
                self.metrics.count_mended(*source, minutes);
                found = true;
                continue;
            }
            let pruned = people.prune(number).await?;
            if pruned > 0 {
                info!(source = source.name(), pruned, "people without rows were forgotten");
            }
        }
        Ok(found)
    }
}
