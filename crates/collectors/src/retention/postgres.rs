//! Removal from PostgreSQL: one statement for each batch, because storing waits meanwhile.
//!
//! Of events, these are the rows of segment 0, which were stored before there were segments. Rows are found by their
//! place in the table (`ctid`), because old rows lie side by side. The index of keys has no order of time and is not
//! read.

use std::{ops::Range, time::Instant};

use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool};
use weir_database::{advisory_lock::AdvisoryLock, clock::NOW_IN_POSTGRES};

use super::batch::{RemovedBatch, RemovedOfSource, SweptTable, complete_from};

/// A transaction that waits for a batch does so no longer than the lock timeout until the batch begins. A peer that
/// died unnoticed keeps the lock of sweeps until the server takes its connection for dead, within a minute.
const SETTINGS: &str = "SET lock_timeout = '1s'; SET statement_timeout = '10s'; \
    SET idle_in_transaction_session_timeout = '10s'; \
    SET tcp_keepalives_idle = 30; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3";

/// Computes each `EventKey` of `weir_database` in SQL, so that no row is sent to the client.
const REMOVE_ROWS: &str = "WITH old AS ( \
        DELETE FROM events WHERE segment = 0 AND ctid = ANY(ARRAY( \
            SELECT ctid FROM events WHERE segment = 0 AND stored_at >= $1 AND stored_at < $2 ORDER BY stored_at LIMIT $3)) \
        RETURNING source, old_event_id, arrived_at, stored_at, occurred_at), \
    keyed AS ( \
        INSERT INTO event_keys (segment, source, key, arrived_at, stored_at) \
        SELECT 0, source, substring(sha256(convert_to(old_event_id, 'UTF8')) FROM 1 FOR 16), arrived_at, stored_at \
        FROM old \
        ON CONFLICT DO NOTHING), \
    forgotten AS ( \
        DELETE FROM duplicates USING old \
        WHERE duplicates.source = old.source AND duplicates.event_id = old.old_event_id) \
    SELECT source, count(*), max(stored_at), max(occurred_at) FROM old GROUP BY source";

pub(super) const MOVE_HORIZON: &str = "INSERT INTO horizons (source, complete_from) VALUES ($1, $2) \
    ON CONFLICT (source) DO UPDATE SET complete_from = GREATEST(horizons.complete_from, excluded.complete_from)";

const REMOVE_KEYS: &str = "WITH old AS ( \
        DELETE FROM event_keys WHERE segment = 0 AND ctid = ANY(ARRAY( \
            SELECT ctid FROM event_keys WHERE segment = 0 AND stored_at >= $1 AND stored_at < $2 ORDER BY stored_at LIMIT $3)) \
        RETURNING source, stored_at) \
    SELECT source, count(*), max(stored_at) FROM old GROUP BY source";

const FOLD_FRAMES: &str = "WITH old AS ( \
        DELETE FROM frames WHERE ctid = ANY(ARRAY( \
            SELECT ctid FROM frames WHERE committed_at >= $1 AND committed_at < $2 ORDER BY committed_at LIMIT $3)) \
        RETURNING source, stored, duplicate, parked, committed_at), \
    folded AS ( \
        INSERT INTO frame_totals AS total (source, frames, stored, duplicate, parked) \
        SELECT source, count(*), sum(stored), sum(duplicate), sum(parked) FROM old GROUP BY source \
        ON CONFLICT (source) DO UPDATE SET frames = total.frames + excluded.frames, \
            stored = total.stored + excluded.stored, duplicate = total.duplicate + excluded.duplicate, \
            parked = total.parked + excluded.parked) \
    SELECT source, count(*), max(committed_at) FROM old GROUP BY source";

/// Rows of a segment are removed together, so that older ones among them outstay their time. They keep their origins.
const REMOVE_ORIGINS: &str = "WITH old AS ( \
        DELETE FROM frame_origins WHERE ctid = ANY(ARRAY( \
            SELECT ctid FROM frame_origins WHERE stored_at >= $1 AND stored_at < LEAST($2, \
                (SELECT MIN(opened_at) FROM event_segments WHERE removed_at IS NULL AND number > 0)) \
            ORDER BY stored_at LIMIT $3)) \
        RETURNING source, stored_at) \
    SELECT source, count(*), max(stored_at) FROM old GROUP BY source";

/// Opens a connection beside the pool, whose connections are for storing.
pub(super) async fn connect(pool: &PgPool) -> Result<PgConnection, sqlx::Error> {
    let mut connection = PgConnection::connect_with(&pool.connect_options()).await?;
    sqlx::raw_sql(SETTINGS).execute(&mut connection).await?;
    Ok(connection)
}

pub(super) async fn now(connection: &mut PgConnection) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(AssertSqlSafe(format!("SELECT {NOW_IN_POSTGRES}"))).fetch_one(connection).await
}

/// Takes the lock of sweeps, which the connection's session holds until it ends.
pub(super) async fn try_lock(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    AdvisoryLock::Retention.try_lock_session(connection).await
}

pub(super) async fn remove(
    connection: &mut PgConnection,
    table: SweptTable,
    span: Range<i64>,
    most: u32,
) -> Result<RemovedBatch, sqlx::Error> {
    match table {
        SweptTable::Events => remove_rows(connection, span, most).await,
        SweptTable::EventKeys => remove_by(REMOVE_KEYS, connection, span, most).await,
        SweptTable::Frames => remove_by(FOLD_FRAMES, connection, span, most).await,
        SweptTable::FrameOrigins => remove_by(REMOVE_ORIGINS, connection, span, most).await,
    }
}

/// Takes the store's lock exclusively. Otherwise a storing transaction might find an event neither as a row nor as a
/// key, and store it again.
async fn remove_rows(
    connection: &mut PgConnection,
    span: Range<i64>,
    most: u32,
) -> Result<RemovedBatch, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    AdvisoryLock::Store.lock_transaction(&mut transaction).await?;
    let started = Instant::now();
    let old: Vec<(i16, i64, i64, i64)> = sqlx::query_as(REMOVE_ROWS)
        .bind(span.start)
        .bind(span.end)
        .bind(i64::from(most))
        // Planned each time: a plan that was made while the table was small would go on reading all of it.
        .persistent(false)
        .fetch_all(&mut *transaction)
        .await?;
    for (source, .., newest) in &old {
        let horizon = complete_from(*newest);
        sqlx::query(MOVE_HORIZON).bind(source).bind(horizon).execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    let removed = |(source, number, reached, _): (i16, i64, i64, i64)| removed(source, number, reached);
    Ok(RemovedBatch { removed: old.into_iter().map(removed).collect(), held: started.elapsed() })
}

async fn remove_by(
    statement: &'static str,
    connection: &mut PgConnection,
    span: Range<i64>,
    most: u32,
) -> Result<RemovedBatch, sqlx::Error> {
    let started = Instant::now();
    let old: Vec<(i16, i64, i64)> = sqlx::query_as(statement)
        .bind(span.start)
        .bind(span.end)
        .bind(i64::from(most))
        .persistent(false)
        .fetch_all(connection)
        .await?;
    let removed = |(source, number, reached)| removed(source, number, reached);
    Ok(RemovedBatch { removed: old.into_iter().map(removed).collect(), held: started.elapsed() })
}

fn removed(source: i16, number: i64, reached: i64) -> RemovedOfSource {
    RemovedOfSource { source, number: number.unsigned_abs(), reached }
}
