//! Removing from SQLite: in transactions that write from their beginning, so that nobody stores meanwhile.

use std::{collections::BTreeMap, ops::Range, time::Instant};

use sqlx::{QueryBuilder, Sqlite, SqliteConnection, SqlitePool};

use super::{
    database::{Batch, Kind, Removed},
    horizon::complete_from,
};
use crate::store::EventKey;

/// Takes the write lock at once: a deferred transaction fails when it turns from reading to writing.
const BEGIN: &str = "BEGIN IMMEDIATE";
/// Enough that a statement's own cost vanishes, few enough that its text stays in the statement cache.
const ROWS_PER_STATEMENT: usize = 32;

const REMOVE_ROWS: &str = "DELETE FROM events WHERE rowid IN ( \
        SELECT rowid FROM events WHERE stored_at >= ? AND stored_at < ? ORDER BY stored_at LIMIT ?) \
    RETURNING source, event_id, arrived_at, stored_at, occurred_at";

const MOVE_HORIZON: &str = "INSERT INTO horizons (source, complete_from) VALUES (?, ?) \
    ON CONFLICT (source) DO UPDATE SET complete_from = max(complete_from, excluded.complete_from)";

const REMOVE_KEYS: &str = "DELETE FROM event_keys WHERE (source, key) IN ( \
        SELECT source, key FROM event_keys WHERE stored_at >= ? AND stored_at < ? ORDER BY stored_at LIMIT ?) \
    RETURNING source, stored_at";

const REMOVE_FRAMES: &str = "DELETE FROM frames WHERE rowid IN ( \
        SELECT rowid FROM frames WHERE committed_at >= ? AND committed_at < ? ORDER BY committed_at LIMIT ?) \
    RETURNING source, committed_at, stored, duplicate, parked";

const FOLD_FRAME: &str = "INSERT INTO frame_totals (source, frames, stored, duplicate, parked) VALUES (?, 1, ?, ?, ?) \
    ON CONFLICT (source) DO UPDATE SET frames = frames + 1, stored = stored + excluded.stored, \
        duplicate = duplicate + excluded.duplicate, parked = parked + excluded.parked";

/// Of a removed row: source, event id, arrival, when it was stored, event time.
type OldRow = (i16, String, i64, i64, i64);

pub(super) async fn remove(
    pool: &SqlitePool,
    kind: Kind,
    span: Range<i64>,
    most: u32,
) -> Result<Batch, sqlx::Error> {
    let mut transaction = pool.begin_with(BEGIN).await?;
    let started = Instant::now();
    let removed = match kind {
        Kind::Rows => remove_rows(&mut transaction, span, most).await?,
        Kind::Keys => remove_keys(&mut transaction, span, most).await?,
        Kind::Frames => fold_frames(&mut transaction, span, most).await?,
    };
    transaction.commit().await?;
    Ok(Batch { removed, held: started.elapsed() })
}

async fn remove_rows(
    connection: &mut SqliteConnection,
    span: Range<i64>,
    most: u32,
) -> Result<Vec<Removed>, sqlx::Error> {
    let old: Vec<OldRow> = sqlx::query_as(REMOVE_ROWS)
        .bind(span.start)
        .bind(span.end)
        .bind(most)
        .fetch_all(&mut *connection)
        .await?;
    for old in old.chunks(ROWS_PER_STATEMENT) {
        keep_keys(connection, old).await?;
        forget_duplicates(connection, old).await?;
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

async fn keep_keys(connection: &mut SqliteConnection, old: &[OldRow]) -> Result<(), sqlx::Error> {
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

async fn forget_duplicates(connection: &mut SqliteConnection, old: &[OldRow]) -> Result<(), sqlx::Error> {
    let mut statement = QueryBuilder::<Sqlite>::new("DELETE FROM duplicates WHERE (source, event_id) IN (");
    statement.push_values(old, |mut tuple, (source, event_id, ..)| {
        tuple.push_bind(source).push_bind(event_id);
    });
    statement.push(")");
    statement.build().persistent(old.len() == ROWS_PER_STATEMENT).execute(connection).await?;
    Ok(())
}

async fn remove_keys(
    connection: &mut SqliteConnection,
    span: Range<i64>,
    most: u32,
) -> Result<Vec<Removed>, sqlx::Error> {
    let old: Vec<(i16, i64)> =
        sqlx::query_as(REMOVE_KEYS).bind(span.start).bind(span.end).bind(most).fetch_all(connection).await?;
    Ok(counted(old.into_iter()))
}

async fn fold_frames(
    connection: &mut SqliteConnection,
    span: Range<i64>,
    most: u32,
) -> Result<Vec<Removed>, sqlx::Error> {
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

/// How many of each source, and the newest moment among them.
fn counted(old: impl Iterator<Item = (i16, i64)>) -> Vec<Removed> {
    let mut counts = BTreeMap::new();
    for (source, moment) in old {
        let removed = counts.entry(source).or_insert(Removed { source, number: 0, reached: moment });
        removed.number += 1;
        removed.reached = removed.reached.max(moment);
    }
    counts.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_source_is_counted_to_its_newest_moment() {
        let counted = counted([(1, 5), (2, 9), (1, 7), (1, 6)].into_iter());
        let expected =
            [Removed { source: 1, number: 3, reached: 7 }, Removed { source: 2, number: 1, reached: 9 }];
        assert_eq!(counted, expected);
    }
}
