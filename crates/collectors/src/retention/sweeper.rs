//! The job: a sweep now and then, by one collector of the fleet at a time.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use tracing::{debug, info, warn};
use weir_event::Source;
use weir_journal::{Journal, JournalError};
use weir_process::{Stop, clock::RoleClock};

use super::{Retention, database::Database, sweep::Sweep};
use crate::{
    metrics::RemovalMetrics,
    store::{Pool, Store},
    worker::Backoff,
};

/// The first sweep is soon, but not before the workers have found their feet.
const FIRST_SWEEP: Duration = Duration::from_secs(10);

/// Removes what was kept long enough.
#[derive(Debug)]
pub(crate) struct Sweeper {
    pub(crate) retention: Retention,
    pub(crate) store: Store,
    pub(crate) journal: Journal,
    /// Where it can't be trusted, nothing is removed.
    pub(crate) clock: RoleClock,
    pub(crate) metrics: RemovalMetrics,
}

impl Sweeper {
    /// Works until `stop`; an outage of the database is waited out.
    pub(crate) async fn run(self, stop: Stop) {
        let Some(interval) = self.retention.interval() else { return };
        let mut pause = interval.min(FIRST_SWEEP);
        while stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_some() {
            self.sweep_patiently(&stop).await;
            pause = interval;
        }
    }

    /// An outage is told once, when it begins, and once when it ends.
    async fn sweep_patiently(&self, stop: &Stop) {
        let mut backoff = Backoff::default();
        while !stop.is_cancelled() {
            match self.sweep(stop).await {
                Ok(()) => {
                    if backoff.reset() {
                        info!("removing goes on after an outage");
                    }
                    return;
                }
                Err(error) if backoff.is_fresh() => warn!(%error, "removing waits until the store takes it"),
                Err(error) => debug!(%error, "removing still waits"),
            }
            backoff.pause(stop).await;
        }
    }

    async fn sweep(&self, stop: &Stop) -> Result<(), sqlx::Error> {
        self.store.admits_this_build().await?;
        let mut database = Database::open(&self.store).await?;
        if let Err(reason) = self.may_remove() {
            // The ready probe says so as long as it lasts.
            debug!(reason, "nothing is removed");
        } else if database.claim().await? {
            self.remove(&mut database, stop).await?;
        } else {
            debug!("another collector removes");
        }
        for (source, complete_from) in database.horizons().await? {
            self.metrics.show_horizon(source, complete_from);
        }
        database.close().await
    }

    /// A database's own clock decides what is old. Where the store is a file, this process's does, and so it must be known to
    /// be right.
    fn may_remove(&self) -> Result<(), String> {
        if matches!(self.store.pool, Pool::Sqlite(_)) && !self.clock.is_compared("journal") {
            return Err("this process's clock was not compared with another one yet".to_owned());
        }
        self.clock.may_remove()
    }

    async fn remove(&self, database: &mut Database, stop: &Stop) -> Result<(), sqlx::Error> {
        let started = Instant::now();
        let oldest_waiting = self.oldest_waiting().await;
        let cutoffs = self.retention.cutoffs(database.now().await?, oldest_waiting);
        let swept = Sweep { database, metrics: &self.metrics, stop }.run(cutoffs).await?;
        if !swept.is_empty() {
            info!(
                rows = swept.rows,
                keys = swept.keys,
                frames = swept.frames,
                erasures = swept.erasures,
                took = ?started.elapsed(),
                "removed what was kept long enough"
            );
        }
        Ok(())
    }

    /// Since when the oldest frame waits in the journal, µs since the Unix epoch; as if for ever where that can't be seen.
    async fn oldest_waiting(&self) -> Option<i64> {
        let mut oldest: Option<DateTime<Utc>> = None;
        for source in Source::ALL {
            let of_source: Result<_, JournalError> = self.journal.oldest_unacknowledged(*source).await;
            match of_source {
                Ok(of_source) => oldest = oldest.into_iter().chain(of_source).min(),
                Err(error) => {
                    debug!(%error, "accounts of frames stay: it can't be seen which frames wait");
                    return Some(i64::MIN);
                }
            }
        }
        oldest.map(|oldest| oldest.timestamp_micros())
    }
}
