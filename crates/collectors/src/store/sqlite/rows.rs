//! Rows of events, and how often those came again that had one.

use std::collections::HashSet;

use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use super::ROWS_PER_STATEMENT;
use crate::store::{
    occurrence::{self, Duplicate},
    row::{COLUMNS, Row, bind_values},
};

/// Inserts the rows of a frame that are new, and leaves those.
pub(super) async fn insert(
    connection: &mut SqliteConnection,
    rows: &mut Vec<Row<'_>>,
) -> Result<(), sqlx::Error> {
    let mut old: HashSet<String> = HashSet::new();
    for rows in rows.chunks(ROWS_PER_STATEMENT) {
        if insert_some(connection, rows).await? < rows.len() as u64 {
            old.extend(not_brought(connection, rows).await?);
        }
    }
    rows.retain(|row| !old.contains(row.event_id));
    Ok(())
}

/// Returns how many rows were new.
async fn insert_some(connection: &mut SqliteConnection, rows: &[Row<'_>]) -> Result<u64, sqlx::Error> {
    let mut statement = QueryBuilder::<Sqlite>::new(format!("INSERT INTO events ({}) ", COLUMNS.join(", ")));
    statement.push_values(rows, |mut tuple, row| bind_values(&mut tuple, row));
    statement.push(" ON CONFLICT (source, event_id) DO NOTHING");
    // A frame's last statement has any number of rows; only the full ones are worth remembering.
    let query = statement.build().persistent(rows.len() == ROWS_PER_STATEMENT);
    Ok(query.execute(connection).await?.rows_affected())
}

/// The ids of rows that were there before. A frame is stored once: a row that names another one did not come with it.
async fn not_brought(
    connection: &mut SqliteConnection,
    rows: &[Row<'_>],
) -> Result<Vec<String>, sqlx::Error> {
    let mut statement = QueryBuilder::<Sqlite>::new("SELECT event_id FROM events WHERE frame_id <> ");
    statement.push_bind(rows[0].frame_id).push(" AND source = ").push_bind(rows[0].source);
    statement.push(" AND event_id IN ");
    statement.push_tuples(rows, |mut tuple, row| {
        tuple.push_bind(row.event_id);
    });
    let query = statement.build_query_scalar().persistent(rows.len() == ROWS_PER_STATEMENT);
    query.fetch_all(connection).await
}

/// Counts what came again, by identity.
pub(super) async fn count_duplicates(
    connection: &mut SqliteConnection,
    duplicates: &[Duplicate<'_>],
) -> Result<(), sqlx::Error> {
    for duplicates in duplicates.chunks(ROWS_PER_STATEMENT) {
        let mut statement = QueryBuilder::<Sqlite>::new(occurrence::INSERT);
        statement.push_values(duplicates, |mut tuple, Duplicate { identity: (source, event_id), times }| {
            tuple.push_bind(source).push_bind(event_id).push_bind(times);
        });
        statement.push(occurrence::ADD);
        let query = statement.build().persistent(duplicates.len() == ROWS_PER_STATEMENT);
        query.execute(&mut *connection).await?;
    }
    Ok(())
}
