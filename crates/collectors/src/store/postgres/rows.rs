//! Rows of events, and how often those came again that had one.

use std::{collections::HashSet, sync::LazyLock};

use sqlx::PgConnection;

use super::{caution::Caution, copy::copy};
use crate::store::{
    FrameOutcome, Submission,
    keys::Identity,
    row::{COLUMNS, Row},
    sighting,
};

/// Of the table's key.
pub(super) const KEY: &str = "events_pkey";

/// How the statement begins that copies rows of events.
pub(in crate::store) const COPY_EVENTS: &str = "COPY events (";

static COPY: LazyLock<String> =
    LazyLock::new(|| format!("{COPY_EVENTS}{}) FROM STDIN (FORMAT BINARY)", COLUMNS.join(", ")));

/// One lookup after the other: `OFFSET 0` keeps the planner from reading all of the table, whatever it thinks of its size.
const KNOWN: &str = "SELECT place \
    FROM UNNEST($1::smallint[], $2::text[]) WITH ORDINALITY AS asked (source, event_id, place) \
    CROSS JOIN LATERAL ( \
        SELECT 1 FROM events WHERE events.source = asked.source AND events.event_id = asked.event_id OFFSET 0 \
    ) AS known";

static COUNT_DUPLICATES: LazyLock<String> = LazyLock::new(|| {
    let sightings = "SELECT * FROM UNNEST($1::smallint[], $2::text[], $3::text[], $4::bigint[])";
    [sighting::SEEN_AS, sightings, sighting::COUNT_DUPLICATES].concat()
});

/// Inserts the rows that are new, in the order in which they come, leaves those, and returns what `meanwhile` makes of them
/// while PostgreSQL has them.
///
/// # Errors
/// Also a row that is not new, by the constraint [`KEY`]: where nobody looked, or somebody else committed it meanwhile.
pub(super) async fn insert<'a, T>(
    connection: &mut PgConnection,
    rows: &mut Vec<Row<'a>>,
    caution: &Caution,
    meanwhile: impl FnOnce(&[Row<'a>]) -> T,
) -> Result<T, sqlx::Error> {
    if caution.is_due() {
        let known = known(connection, rows).await?;
        if !known.is_empty() {
            caution.met_known_events();
            rows.retain(|row| !known.contains(&row.identity()));
        }
    }
    let new = rows.as_slice();
    copy(connection, &COPY, new, || meanwhile(new)).await
}

/// The identities that have a row.
async fn known<'a>(
    connection: &mut PgConnection,
    asked: &[Row<'a>],
) -> Result<HashSet<Identity<'a>>, sqlx::Error> {
    let places: Vec<i64> = sqlx::query_scalar(KNOWN)
        .bind(asked.iter().map(|row| row.source).collect::<Vec<_>>())
        .bind(asked.iter().map(|row| row.event_id).collect::<Vec<_>>())
        // Planned each time, as below.
        .persistent(false)
        .fetch_all(connection)
        .await?;
    let places: HashSet<i64> = places.into_iter().collect();
    Ok((1..).zip(asked).filter(|(place, _)| places.contains(place)).map(|(_, row)| row.identity()).collect())
}

/// Counts the events of frames that were not all new, by identity; frames without duplicates cost nothing. What was
/// removed has no row to be counted beside.
pub(super) async fn count_duplicates(
    connection: &mut PgConnection,
    submissions: &[&Submission<'_>],
    outcomes: &[(&str, FrameOutcome)],
    removed: &HashSet<Identity<'_>>,
) -> Result<(), sqlx::Error> {
    let with_duplicates = submissions
        .iter()
        .zip(outcomes)
        .filter(|(_, (_, outcome))| outcome.duplicate > 0)
        .flat_map(|(submission, _)| submission.sightings())
        .filter(|sighting| !removed.contains(&(sighting.source, sighting.event_id)));
    let seen = sighting::merged(with_duplicates);
    if seen.is_empty() {
        return Ok(());
    }
    sqlx::query(COUNT_DUPLICATES.as_str())
        .bind(seen.iter().map(|sighting| sighting.source).collect::<Vec<_>>())
        .bind(seen.iter().map(|sighting| sighting.event_id).collect::<Vec<_>>())
        .bind(seen.iter().map(|sighting| sighting.frame_id).collect::<Vec<_>>())
        .bind(seen.iter().map(|sighting| sighting.times).collect::<Vec<_>>())
        // Planned each time: a plan that was made while the table was small would go on reading all of it.
        .persistent(false)
        .execute(connection)
        .await?;
    Ok(())
}
