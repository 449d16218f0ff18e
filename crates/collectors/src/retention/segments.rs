//! Removal of whole segments from PostgreSQL. The keys of a segment's rows are made beside, which takes seconds for each
//! million and keeps nobody waiting. Then one short transaction puts the keys in the place of the rows.

use std::{
    io::{Error, ErrorKind},
    time::{Duration, Instant},
};

use sqlx::{Connection as _, PgConnection};
use tokio::time::sleep;
use tracing::debug;
use weir_database::error_class::{is_denied, is_lock_timeout};
use weir_process::Stop;

use super::{
    batch::{RemovedOfSource, complete_from},
    postgres::MOVE_HORIZON,
};
use crate::store::with_time_limit;

/// The oldest segment that was closed before `$1`, µs since the Unix epoch, and has its rows. Of segment 0 batches remove
/// them first.
const WITH_ROWS: &str = "SELECT number FROM event_segments WHERE removed_at IS NULL AND closed_at < $1 \
    AND (number > 0 OR NOT EXISTS (SELECT 1 FROM events WHERE segment = 0)) ORDER BY number LIMIT 1";
/// The oldest one without rows. Of segment 0 batches remove the keys first.
const WITH_KEYS: &str = "SELECT number FROM event_segments WHERE removed_at IS NOT NULL AND closed_at < $1 \
    AND (number > 0 OR NOT EXISTS (SELECT 1 FROM event_keys WHERE segment = 0)) ORDER BY number LIMIT 1";
const ROWS: &str = "SELECT source, count(*), max(occurred_at) FROM events WHERE segment = $1 GROUP BY source";
const KEYS: &str =
    "SELECT source, count(*), max(stored_at) FROM event_keys WHERE segment = $1 GROUP BY source";
const KEEP_KEYS: &str = "SELECT weir_keep_event_keys($1)";
const REMOVE: &str = "SELECT weir_remove_segment($1)";
const FORGET: &str = "SELECT weir_forget_segment($1)";
/// Of events that have a key and no row. Once more before the keys go, in case that a collector was killed between.
/// `OFFSET 0` has each key computed once.
const FORGET_DUPLICATES: &str = "DELETE FROM duplicates USING ( \
        SELECT source, event_id, substring(sha256(weir_code(event_id)) FROM 1 FOR 16) AS key \
        FROM duplicates OFFSET 0) AS again \
    JOIN event_keys ON event_keys.source = again.source AND event_keys.key = again.key \
    WHERE event_keys.segment = $1 AND duplicates.source = again.source AND duplicates.event_id = again.event_id";

/// Of statements that read a whole segment. Nobody waits for them.
const NO_TIMEOUT: &str = "SET statement_timeout = 0";
const USUAL_TIMEOUT: &str = "SET statement_timeout = '10s'";
/// The time that a report may keep a removal waiting. Each attempt waits for a fraction of a second, because everybody
/// waits behind it.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(500);

/// The part of a segment that is removed at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SegmentPart {
    /// Its rows. Their keys stay, and the horizon moves.
    Rows,
    /// The keys that stayed of its rows.
    Keys,
}

/// The role may not execute a function of segments. Storing goes on in the open segment meanwhile.
#[derive(Debug, thiserror::Error)]
#[error(
    "the role may not open or remove segments of events ({0}): GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA … TO the \
     collectors' role, as docs/runbook.md lists its rights"
)]
struct Denied(#[source] sqlx::Error);

/// The error of a call of such a function, with the remedy where a right is missing.
pub(crate) fn with_remedy(error: sqlx::Error) -> sqlx::Error {
    if error.as_database_error().is_some_and(is_denied) {
        return sqlx::Error::Configuration(Denied(error).into());
    }
    error
}

/// The oldest segment with this part that was closed before `before`, µs since the Unix epoch.
pub(super) async fn oldest_with(
    part: SegmentPart,
    connection: &mut PgConnection,
    before: i64,
) -> Result<Option<i32>, sqlx::Error> {
    let oldest = match part {
        SegmentPart::Rows => WITH_ROWS,
        SegmentPart::Keys => WITH_KEYS,
    };
    with_time_limit(sqlx::query_scalar(oldest).bind(before).persistent(false).fetch_optional(connection))
        .await
}

/// Removes this part of a closed segment. Returns what was removed of each source.
pub(super) async fn remove(
    part: SegmentPart,
    connection: &mut PgConnection,
    segment: i32,
    stop: &Stop,
) -> Result<Vec<RemovedOfSource>, sqlx::Error> {
    let removed = match part {
        SegmentPart::Rows => remove_rows(connection, segment, stop).await,
        SegmentPart::Keys => remove_keys(connection, segment, stop).await,
    };
    removed.map_err(|error| {
        if is_lock_timeout(&error) {
            let in_use = format!(
                "segment {segment} is in use: a transaction that has read events has not ended for {} s; \
                 pg_stat_activity names it by its xact_start ({error})",
                PATIENCE.as_secs()
            );
            return Error::new(ErrorKind::TimedOut, in_use).into();
        }
        with_remedy(error)
    })
}

async fn remove_rows(
    connection: &mut PgConnection,
    segment: i32,
    stop: &Stop,
) -> Result<Vec<RemovedOfSource>, sqlx::Error> {
    sqlx::raw_sql(NO_TIMEOUT).execute(&mut *connection).await?;
    // No row of a closed segment comes or goes.
    let rows: Vec<(i16, i64, i64)> =
        sqlx::query_as(ROWS).bind(segment).persistent(false).fetch_all(&mut *connection).await?;
    if segment > 0 {
        let started = Instant::now();
        let making = sqlx::query(KEEP_KEYS).bind(segment).execute(&mut *connection);
        // The server goes on, and the next removal finds the keys made.
        let Some(made) = stop.run_until_cancelled(making).await else {
            return Err(Error::new(ErrorKind::Interrupted, "the collector stops").into());
        };
        made?;
        debug!(segment, took = ?started.elapsed(), "made the keys of a segment");
    }
    sqlx::raw_sql(USUAL_TIMEOUT).execute(&mut *connection).await?;
    let horizons: Vec<(i16, i64)> =
        rows.iter().map(|(source, _, newest)| (*source, complete_from(*newest))).collect();
    replace(connection, REMOVE, segment, &horizons, stop).await?;
    forget_duplicates(connection, segment).await?;
    Ok(rows.into_iter().map(removed).collect())
}

async fn remove_keys(
    connection: &mut PgConnection,
    segment: i32,
    stop: &Stop,
) -> Result<Vec<RemovedOfSource>, sqlx::Error> {
    forget_duplicates(connection, segment).await?;
    let keys: Vec<(i16, i64, i64)> =
        sqlx::query_as(KEYS).bind(segment).persistent(false).fetch_all(&mut *connection).await?;
    replace(connection, FORGET, segment, &[], stop).await?;
    Ok(keys.into_iter().map(removed).collect())
}

fn removed((source, number, reached): (i16, i64, i64)) -> RemovedOfSource {
    RemovedOfSource { source, number: number.unsigned_abs(), reached }
}

async fn forget_duplicates(connection: &mut PgConnection, segment: i32) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(NO_TIMEOUT).execute(&mut *connection).await?;
    // Planned each time: the next segment has other tables, of other sizes.
    sqlx::query(FORGET_DUPLICATES).bind(segment).persistent(false).execute(&mut *connection).await?;
    sqlx::raw_sql(USUAL_TIMEOUT).execute(&mut *connection).await.map(drop)
}

/// Runs a statement that drops a table, and moves horizons (source, and the time from which on its rows are complete)
/// with it. Tries again while a report or a storing transaction uses the table.
async fn replace(
    connection: &mut PgConnection,
    statement: &'static str,
    segment: i32,
    horizons: &[(i16, i64)],
    stop: &Stop,
) -> Result<(), sqlx::Error> {
    let started = Instant::now();
    loop {
        let attempt = Instant::now();
        match with_time_limit(try_replace(connection, statement, segment, horizons)).await {
            Err(error) if is_lock_timeout(&error) && started.elapsed() < PATIENCE && !stop.is_cancelled() => {
                debug!(segment, "somebody uses the segment");
                stop.run_until_cancelled(sleep(PAUSE)).await;
            }
            result => {
                debug!(segment, took = ?attempt.elapsed(), "{statement}");
                return result;
            }
        }
    }
}

async fn try_replace(
    connection: &mut PgConnection,
    statement: &'static str,
    segment: i32,
    horizons: &[(i16, i64)],
) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin().await?;
    sqlx::query(statement).bind(segment).execute(&mut *transaction).await?;
    for (source, horizon) in horizons {
        sqlx::query(MOVE_HORIZON).bind(source).bind(horizon).execute(&mut *transaction).await?;
    }
    transaction.commit().await
}
