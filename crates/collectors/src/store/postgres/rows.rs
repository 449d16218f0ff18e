//! Rows of `events` in PostgreSQL: the insert of new ones, and the count of duplicates.

use std::{collections::HashSet, sync::LazyLock};

use sqlx::PgConnection;

use super::duplicate_lookup::DuplicateLookup;
use crate::store::{
    copy::copy,
    row::{EventIdentity, Row},
    submission::Duplicate,
};

/// The table's primary key.
const PRIMARY_KEY: &str = "events_pkey";

/// The beginning of the statement that copies rows of events.
pub(crate) const COPY_EVENTS: &str = "COPY events (";

static COPY: LazyLock<String> =
    LazyLock::new(|| format!("{COPY_EVENTS}{}) FROM STDIN (FORMAT BINARY)", Row::COLUMNS.join(", ")));

/// Looks up one event after the other: `OFFSET 0` keeps the planner from reading the whole table, at any estimate of
/// its size.
const STORED: &str = "SELECT place \
    FROM UNNEST($1::smallint[], $2::text[]) WITH ORDINALITY AS asked (source, event_id, place) \
    CROSS JOIN LATERAL ( \
        SELECT 1 FROM events WHERE events.source = asked.source AND events.event_id = asked.event_id OFFSET 0 \
    ) AS stored";

static COUNT_DUPLICATES: LazyLock<String> = LazyLock::new(|| {
    let duplicates = "SELECT * FROM UNNEST($1::smallint[], $2::text[], $3::bigint[])";
    [Duplicate::INSERT, duplicates, Duplicate::ADD].concat()
});

/// Inserts the rows that are new, in their order, and retains those alone. Returns the result of `meanwhile` on the new
/// rows, which runs while PostgreSQL stores them.
///
/// # Errors
/// Also a duplicate (see [`is_duplicate`]) that was not looked up, or that another transaction committed meanwhile.
pub(super) async fn insert<'a, T>(
    connection: &mut PgConnection,
    rows: &mut Vec<Row<'a>>,
    lookup: &DuplicateLookup,
    meanwhile: impl FnOnce(&[Row<'a>]) -> T,
) -> Result<T, sqlx::Error> {
    let looked_up = lookup.next(rows);
    if !looked_up.rows.is_empty() {
        let stored = stored(connection, &looked_up.rows).await?;
        lookup.note_found(&looked_up, |row| stored.contains(&row.identity()));
        rows.retain(|row| !stored.contains(&row.identity()));
    }
    let new = rows.as_slice();
    copy(connection, &COPY, new, || meanwhile(new)).await
}

/// Whether a row that was taken for new is a duplicate.
pub(super) fn is_duplicate(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| error.constraint() == Some(PRIMARY_KEY))
}

/// The identities that have a row.
async fn stored<'a>(
    connection: &mut PgConnection,
    rows: &[&Row<'a>],
) -> Result<HashSet<EventIdentity<'a>>, sqlx::Error> {
    let places: Vec<i64> = sqlx::query_scalar(STORED)
        .bind(rows.iter().map(|row| row.source).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.event_id).collect::<Vec<_>>())
        // Planned each time: a plan that was made while the table was small would go on reading all of it.
        .persistent(false)
        .fetch_all(connection)
        .await?;
    let places: HashSet<i64> = places.into_iter().collect();
    Ok((1..).zip(rows).filter(|(place, _)| places.contains(place)).map(|(_, row)| row.identity()).collect())
}

/// Adds to the counts of duplicates.
pub(super) async fn count_duplicates(
    connection: &mut PgConnection,
    duplicates: &[Duplicate<'_>],
) -> Result<(), sqlx::Error> {
    if duplicates.is_empty() {
        return Ok(());
    }
    sqlx::query(COUNT_DUPLICATES.as_str())
        .bind(duplicates.iter().map(|duplicate| duplicate.identity.0).collect::<Vec<_>>())
        .bind(duplicates.iter().map(|duplicate| duplicate.identity.1).collect::<Vec<_>>())
        .bind(duplicates.iter().map(|duplicate| duplicate.times).collect::<Vec<_>>())
        .execute(connection)
        .await?;
    Ok(())
}
