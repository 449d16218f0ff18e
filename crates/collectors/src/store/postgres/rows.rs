//! Rows of events, and how often those came again that had one.

use std::{collections::HashSet, sync::LazyLock};

use sqlx::PgConnection;

use super::{KnownEvents, copy::copy, lookup_policy::Look};
use crate::store::{
    keys::Identity,
    occurrence::{self, Duplicate},
    row::{COLUMNS, Row},
};

/// Of the table's key.
pub(super) const KEY: &str = "events_pkey";

/// How the statement begins that copies rows of events.
pub(in crate::store) const COPY_EVENTS: &str = "COPY events (";

static COPY: LazyLock<String> =
    LazyLock::new(|| format!("{COPY_EVENTS}{}) FROM STDIN (FORMAT BINARY)", COLUMNS.join(", ")));

/// One lookup after the other: `OFFSET 0` keeps the planner from reading all of the table, whatever it thinks of its size.
const STORED: &str = "SELECT place \
    FROM UNNEST($1::smallint[], $2::text[]) WITH ORDINALITY AS asked (source, event_id, place) \
    CROSS JOIN LATERAL ( \
        SELECT 1 FROM events WHERE events.source = asked.source AND events.event_id = asked.event_id OFFSET 0 \
    ) AS stored";

static COUNT_DUPLICATES: LazyLock<String> = LazyLock::new(|| {
    let duplicates = "SELECT * FROM UNNEST($1::smallint[], $2::text[], $3::bigint[])";
    [occurrence::INSERT, duplicates, occurrence::ADD].concat()
});

/// Inserts the rows that are new, in the order in which they come, leaves those, and returns what `meanwhile` makes of them
/// while PostgreSQL has them.
///
/// # Errors
/// Also a row that is not new, by the constraint [`KEY`]: where nobody looked, or somebody else committed it meanwhile.
pub(super) async fn insert<'a, T>(
    connection: &mut PgConnection,
    rows: &mut Vec<Row<'a>>,
    known: &KnownEvents,
    meanwhile: impl FnOnce(&[Row<'a>]) -> T,
) -> Result<T, sqlx::Error> {
    let look = known.caution.next();
    let lately = if look == Look::Nothing { Vec::new() } else { known.recent.meet(rows) };
    let asked = if look == Look::All { rows.iter().collect() } else { lately.clone() };
    if !asked.is_empty() {
        let stored = stored(connection, &asked).await?;
        let foreseen = lately.iter().filter(|row| stored.contains(&row.identity())).count();
        if foreseen < stored.len() {
            known.caution.was_surprised();
        } else if foreseen > 0 {
            known.caution.was_right();
        }
        rows.retain(|row| !stored.contains(&row.identity()));
    }
    let new = rows.as_slice();
    copy(connection, &COPY, new, || meanwhile(new)).await
}

/// The identities that have a row.
async fn stored<'a>(
    connection: &mut PgConnection,
    asked: &[&Row<'a>],
) -> Result<HashSet<Identity<'a>>, sqlx::Error> {
    let places: Vec<i64> = sqlx::query_scalar(STORED)
        .bind(asked.iter().map(|row| row.source).collect::<Vec<_>>())
        .bind(asked.iter().map(|row| row.event_id).collect::<Vec<_>>())
        // Planned each time: a plan that was made while the table was small would go on reading all of it.
        .persistent(false)
        .fetch_all(connection)
        .await?;
    let places: HashSet<i64> = places.into_iter().collect();
    Ok((1..).zip(asked).filter(|(place, _)| places.contains(place)).map(|(_, row)| row.identity()).collect())
}

/// Counts what came again, by identity.
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
