//! Rows of events, and how often those came again that had one.

use std::{collections::HashSet, sync::LazyLock};

use sqlx::PgConnection;

use super::{caution::Caution, copy::copy};
use crate::store::{
    FrameOutcome, Submission,
    keys::Identity,
    row::{COLUMNS, COMPOSITE, Row},
    sighting,
};

/// Of the table's key.
pub(super) const KEY: &str = "events_pkey";

static COPY_ALL: LazyLock<String> =
    LazyLock::new(|| format!("COPY events ({}) FROM STDIN (FORMAT BINARY)", COLUMNS.join(", ")));

/// Tells how many were new, and not which: returning a word of each row costs every batch, and most bring all of theirs.
static INSERT_NEW: LazyLock<String> = LazyLock::new(|| {
    format!(
        "INSERT INTO events ({}) SELECT * FROM UNNEST($1::{COMPOSITE}[]) \
            ON CONFLICT (source, event_id) DO NOTHING",
        COLUMNS.join(", ")
    )
});

/// A frame is stored once: a row that names it was inserted with it.
const BROUGHT: &str = "SELECT place \
    FROM UNNEST($1::smallint[], $2::text[], $3::text[]) WITH ORDINALITY \
        AS asked (source, event_id, frame_id, place) \
    JOIN events USING (source, event_id, frame_id)";

static COUNT_DUPLICATES: LazyLock<String> = LazyLock::new(|| {
    let sightings = "SELECT * FROM UNNEST($1::smallint[], $2::text[], $3::text[], $4::bigint[])";
    [sighting::SEEN_AS, sightings, sighting::COUNT_DUPLICATES].concat()
});

/// Inserts the rows that are new, in the order in which they come, and leaves those.
///
/// # Errors
/// Without caution also a row that is not new, by the constraint [`KEY`].
pub(super) async fn insert(
    connection: &mut PgConnection,
    rows: &mut Vec<Row<'_>>,
    caution: &Caution,
) -> Result<(), sqlx::Error> {
    if !caution.is_due() {
        return copy(connection, &COPY_ALL, rows).await.map(drop);
    }
    let inserted = sqlx::query(INSERT_NEW.as_str()).bind(rows.as_slice()).execute(&mut *connection).await?;
    if inserted.rows_affected() < rows.len() as u64 {
        caution.met_known_events();
        let new = brought(connection, rows).await?;
        rows.retain(|row| new.contains(&row.identity()));
    }
    Ok(())
}

/// The identities whose rows came with the frames that `asked` names.
async fn brought<'a>(
    connection: &mut PgConnection,
    asked: &[Row<'a>],
) -> Result<HashSet<Identity<'a>>, sqlx::Error> {
    let places: Vec<i64> = sqlx::query_scalar(BROUGHT)
        .bind(asked.iter().map(|row| row.source).collect::<Vec<_>>())
        .bind(asked.iter().map(|row| row.event_id).collect::<Vec<_>>())
        .bind(asked.iter().map(|row| row.frame_id).collect::<Vec<_>>())
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
