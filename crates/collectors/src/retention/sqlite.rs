//! Removal from SQLite. Each transaction writes from its beginning, so that no other transaction stores meanwhile.

use std::{collections::BTreeMap, ops::Range, time::Instant};

use sqlx::{QueryBuilder, Sqlite, SqliteConnection, SqlitePool};
use weir_database::event_key::EventKey;

use super::batch::{RemovedBatch, RemovedOfSource, SweptTable, complete_from};
use crate::store::{BEGIN_SQLITE, ROWS_PER_STATEMENT};

const REMOVE_ROWS: &str = "DELETE FROM events WHERE rowid IN ( \
        SELECT rowid FROM events WHERE stored_at >= ? AND stored_at < ? ORDER BY stored_at LIMIT ?) \
    RETURNING source, event_id, arrived_at, stored_at, occurred_at";

const MOVE_HORIZON: &str = "INSERT INTO horizons (source, complete_from) VALUES (?, ?) \
    ON CONFLICT (source) DO UPDATE SET complete_from = max(complete_from, excluded.complete_from)";

const REMOVE_KEYS: &str = "DELETE FROM event_keys WHERE (source, key) IN ( \
        SELECT source, key FROM event_keys WHERE stored_at >= ? AND stored_at < ? ORDER BY stored_at LIMIT ?) \
    RETURNING source, stored_at";

const REMOVE_ORIGINS: &str = "DELETE FROM frame_origins WHERE number IN ( \
        SELECT number FROM frame_origins WHERE stored_at >= ? AND stored_at < ? ORDER BY stored_at LIMIT ?) \
    RETURNING source, stored_at";

const REMOVE_FRAMES: &str = "DELETE FROM frames WHERE rowid IN ( \
        SELECT rowid FROM frames WHERE committed_at >= ? AND committed_at < ? ORDER BY committed_at LIMIT ?) \
    RETURNING source, committed_at, stored, duplicate, parked";

const FOLD_FRAME: &str = "INSERT INTO frame_totals (source, frames, stored, duplicate, parked) VALUES (?, 1, ?, ?, ?) \
    ON CONFLICT (source) DO UPDATE SET frames = frames + 1, stored = stored + excluded.stored, \
        duplicate = duplicate + excluded.duplicate, parked = parked + excluded.parked";

/// A removed row: source, event id, and the times of arrival, storing and the event.
type RemovedRow = (i16, String, i64, i64, i64);

pub(super) async fn remove(
    pool: &SqlitePool,
    table: SweptTable,
    span: Range<i64>,
    most: u32,
) -> Result<RemovedBatch, sqlx::Error> {
    let mut transaction = pool.begin_with(BEGIN_SQLITE).await?;
    let started = Instant::now();
    let removed = match table {
        SweptTable::Events => remove_rows(&mut transaction, span, most).await?,
        SweptTable::EventKeys => remove_by(REMOVE_KEYS, &mut transaction, span, most).await?,
        SweptTable::FrameOrigins => remove_by(REMOVE_ORIGINS, &mut transaction, span, most).await?,
        SweptTable::Frames => fold_frames(&mut transaction, span, most).await?,
    };
    transaction.commit().await?;
    Ok(RemovedBatch { removed, held: started.elapsed() })
}

async fn remove_rows(
    connection: &mut SqliteConnection,
    span: Range<i64>,
    most: u32,
) -> Result<Vec<RemovedOfSource>, sqlx::Error> {
    let old: Vec<RemovedRow> = sqlx::query_as(REMOVE_ROWS)
        .bind(span.start)
        .bind(span.end)
        .bind(most)
        .fetch_all(&mut *connection)
        .await?;
    for old in old.chunks(ROWS_PER_STATEMENT) {
        insert_keys(connection, old).await?;
        delete_duplicates(connection, old).await?;
    }
    let mut newest = BTreeMap::new();
    for (source, .., occurred_at) in &old {
        let newest = newest.entry(*source).or_insert(*occurred_at);
        *newest = (*newest).max(*occurred_at);
    }
    for (source, newest) in newest {
        sqlx::query(MOVE_HORIZON).bind(source).bind(complete_from(newest)).execute(&mut *connection).await?;
    }
    Ok(counted(old.into_iter().map(|(source, _, _, stored_at, _)| (source, stored_at))))
}

async fn insert_keys(connection: &mut SqliteConnection, old: &[RemovedRow]) -> Result<(), sqlx::Error> {
    let mut statement =
        QueryBuilder::<Sqlite>::new("INSERT INTO event_keys (source, key, arrived_at, stored_at) ");
    statement.push_values(old, |mut tuple, (source, event_id, arrived_at, stored_at, _)| {
        tuple.push_bind(source).push_bind(EventKey::of(event_id).as_bytes().to_vec());
        tuple.push_bind(arrived_at).push_bind(stored_at);
    });
    statement.push(" ON CONFLICT DO NOTHING");
    statement.build().persistent(old.len() == ROWS_PER_STATEMENT).execute(connection).await?;
    Ok(())
}

async fn delete_duplicates(connection: &mut SqliteConnection, old: &[RemovedRow]) -> Result<(), sqlx::Error> {
    let mut statement = QueryBuilder::<Sqlite>::new("DELETE FROM duplicates WHERE (source, event_id) IN (");
    statement.push_values(old, |mut tuple, (source, event_id, ..)| {
        tuple.push_bind(source).push_bind(event_id);
    });
    statement.push(")");
    statement.build().persistent(old.len() == ROWS_PER_STATEMENT).execute(connection).await?;
    Ok(())
}

async fn remove_by(
    statement: &'static str,
    connection: &mut SqliteConnection,
    span: Range<i64>,
    most: u32,
) -> Result<Vec<RemovedOfSource>, sqlx::Error> {
    let old: Vec<(i16, i64)> =
        sqlx::query_as(statement).bind(span.start).bind(span.end).bind(most).fetch_all(connection).await?;
    Ok(counted(old.into_iter()))
}

async fn fold_frames(
    connection: &mut SqliteConnection,
    span: Range<i64>,
    most: u32,
) -> Result<Vec<RemovedOfSource>, sqlx::Error> {
    let old: Vec<(i16, i64, i64, i64, i64)> = sqlx::query_as(REMOVE_FRAMES)
        .bind(span.start)
        .bind(span.end)
        .bind(most)
        .fetch_all(&mut *connection)
        .await?;
    for (source, _, stored, duplicate, parked) in &old {
        sqlx::query(FOLD_FRAME)
            .bind(source)
            .bind(stored)
            .bind(duplicate)
            .bind(parked)
            .execute(&mut *connection)
            .await?;
    }
    Ok(counted(old.into_iter().map(|(source, committed_at, ..)| (source, committed_at))))
}

/// Counts removed rows by source, with the newest time among them.
fn counted(old: impl Iterator<Item = (i16, i64)>) -> Vec<RemovedOfSource> {
    let mut counts = BTreeMap::new();
    for (source, moment) in old {
        let removed = counts.entry(source).or_insert(RemovedOfSource { source, number: 0, reached: moment });
        removed.number += 1;
        removed.reached = removed.reached.max(moment);
    }
    counts.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removed_rows_are_counted_by_source_with_their_newest_time() {
        let counted = counted([(1, 5), (2, 9), (1, 7), (1, 6)].into_iter());
        let expected = [
            RemovedOfSource { source: 1, number: 3, reached: 7 },
            RemovedOfSource { source: 2, number: 1, reached: 9 },
        ];
        assert_eq!(counted, expected);
    }
}
