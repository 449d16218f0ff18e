//! Segments of events on PostgreSQL: the job by which one collector of the fleet at a time opens the next segment, and
//! makes missing filters and missing summaries of persons.

mod filters;

use std::{convert::Infallible, time::Duration};

use sqlx::{AssertSqlSafe, PgConnection, PgPool};
use tokio::time::sleep;
use tracing::info;
use weir_database::{
    advisory_lock::AdvisoryLock, clock::NOW_IN_POSTGRES, dialect::Pool, error_class::is_lock_timeout,
};
use weir_event::Source;
use weir_process::Stop;

use crate::{
    Retention,
    outage::JobOutages,
    retention::with_remedy,
    store::{Store, to_smallint},
};

/// A segment is closed at this size of its rows: some 12 million. Its unique index, a quarter as large, then fits into
/// `shared_buffers` of 1 GB while it is open. Each closed segment costs look-ups of events that its filter lets through.
const MOST_BYTES: i64 = 2 << 30;
const LONGEST_INTERVAL: Duration = Duration::from_secs(10);

/// Without a time limit, because nobody waits for a filter.
const BEGIN: &str = "BEGIN; SET LOCAL statement_timeout = 0; SET LOCAL jit = off; \
    SET LOCAL max_parallel_workers_per_gather = 0";
/// The size of the open segment's rows in bytes.
const OPEN: &str =
    "pg_relation_size(to_regclass('events_' || number)) FROM event_segments WHERE closed_at IS NULL";
const OPEN_NEXT: &str = "SELECT weir_open_segment()";
/// Closed segments whose persons may not be summarized yet, and the open one at the end.
const UNSUMMARIZED: &str = "SELECT number, closed_at IS NOT NULL FROM event_segments \
    WHERE number > $1 AND removed_at IS NULL ORDER BY number";
const SUMMARIZE_PERSONS: &str = "SELECT weir_summarize_persons($1, $2)";

/// The job of segments.
#[derive(Debug)]
pub(crate) struct SegmentJob {
    pub(crate) store: Store,
    pub(crate) retention: Retention,
}

impl SegmentJob {
    /// Works until `stop`. Waits out an outage of the database. SQLite has no segments.
    pub(crate) async fn run(self, stop: Stop) {
        let Pool::Postgres(pool) = &self.store.pool else { return };
        let mut outages = JobOutages::of("keeping segments of events");
        let work = async {
            loop {
                let Err(error) = self.work(pool, &mut outages).await;
                outages.wait(&error, &stop).await;
            }
        };
        // A filter may take many seconds. It is made anew at the next start.
        stop.run_until_cancelled(work).await;
    }

    /// Works until an error.
    async fn work(&self, pool: &PgPool, outages: &mut JobOutages) -> Result<Infallible, sqlx::Error> {
        let longest = self.retention.longest_segment();
        let interval = longest.map_or(LONGEST_INTERVAL, |longest| longest.min(LONGEST_INTERVAL));
        let mut summaries = Summaries::default();
        loop {
            self.store.admits_this_build().await?;
            while step(pool, longest).await? {}
            summaries.add(pool).await?;
            outages.end();
            sleep(interval).await;
        }
    }
}

/// The summaries of persons as far as this process knows that they are made.
#[derive(Debug, Default)]
struct Summaries {
    /// The last closed segment that has all of its summaries.
    complete: i32,
    /// The first block of the open segment without a summary.
    next_block: i64,
}

impl Summaries {
    /// Makes the missing ones, unless another collector does. A vacuum of a segment may make them just now.
    async fn add(&mut self, pool: &PgPool) -> Result<(), sqlx::Error> {
        let segments: Vec<(i32, bool)> =
            sqlx::query_as(UNSUMMARIZED).bind(self.complete).fetch_all(pool).await?;
        for (segment, is_closed) in segments {
            let mut transaction = pool.begin_with(BEGIN).await?;
            if !AdvisoryLock::Segments.try_lock_transaction(&mut transaction).await? {
                return Ok(());
            }
            let summarize = sqlx::query_scalar(SUMMARIZE_PERSONS).bind(segment).bind(self.next_block);
            match summarize.fetch_one(&mut *transaction).await {
                Ok(next_block) => self.next_block = next_block,
                Err(error) if is_lock_timeout(&error) => return Ok(()),
                Err(error) => return Err(with_remedy(error)),
            }
            transaction.commit().await?;
            if is_closed {
                *self = Self { complete: segment, next_block: 0 };
            }
        }
        Ok(())
    }
}

/// Opens the next segment or makes one filter. Returns whether there may be more to do.
async fn step(pool: &PgPool, longest: Option<Duration>) -> Result<bool, sqlx::Error> {
    let mut transaction = pool.begin_with(BEGIN).await?;
    if !AdvisoryLock::Segments.try_lock_transaction(&mut transaction).await? {
        return Ok(false);
    }
    if is_full(&mut transaction, longest).await? {
        let opened: i32 = match sqlx::query_scalar(OPEN_NEXT).fetch_one(&mut *transaction).await {
            Ok(opened) => opened,
            // A transaction stores for so long. The next step tries again.
            Err(error) if is_lock_timeout(&error) => return Ok(false),
            Err(error) => return Err(with_remedy(error)),
        };
        transaction.commit().await?;
        info!(segment = opened, "opened a segment of events");
        return Ok(true);
    }
    let sources: Vec<i16> = Source::ALL.iter().map(|source| to_smallint(source.number())).collect();
    let made = filters::make_next(&mut transaction, &sources).await?;
    transaction.commit().await?;
    Ok(made)
}

/// Whether the open segment is old or large enough. An empty one never is.
async fn is_full(connection: &mut PgConnection, longest: Option<Duration>) -> Result<bool, sqlx::Error> {
    let query = AssertSqlSafe(format!("SELECT {NOW_IN_POSTGRES} - opened_at, {OPEN}"));
    let open: Option<(i64, Option<i64>)> = sqlx::query_as(query).fetch_optional(connection).await?;
    let Some((age, Some(bytes @ 1..))) = open else { return Ok(false) };
    let is_old = longest.is_some_and(|longest| u128::from(age.max(0).unsigned_abs()) >= longest.as_micros());
    Ok(is_old || bytes >= MOST_BYTES)
}
