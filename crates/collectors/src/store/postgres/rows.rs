//! Rows of `events` in PostgreSQL: the insert of new ones, and the count of duplicates.

use std::{collections::HashSet, sync::LazyLock};

use sqlx::PgConnection;
use weir_database::id_code::IdCode;

use super::duplicate_lookup::DuplicateLookup;
use crate::store::{
    copy::{CopyRow, Tuple, copy},
    row::{EventIdentity, Row},
    submission::Duplicate,
};

/// The beginning of the statement that copies rows of events.
pub(crate) const COPY_EVENTS: &str = "COPY events (";

static COPY: LazyLock<String> =
    LazyLock::new(|| format!("{COPY_EVENTS}{}) FROM STDIN (FORMAT BINARY)", SegmentRow::COLUMNS.join(", ")));

/// Looks up one event after the other: `OFFSET 0` keeps the planner from reading the whole table, at any estimate of
/// its size.
const STORED: &str = "SELECT place \
    FROM UNNEST($2::smallint[], $3::bytea[]) WITH ORDINALITY AS asked (source, event_code, place) \
    CROSS JOIN LATERAL ( \
        SELECT 1 FROM events WHERE segment = $1 AND events.source = asked.source \
            AND events.event_code = asked.event_code OFFSET 0 \
    ) AS stored";

/// A row of the open segment.
#[derive(Clone, Copy, Debug)]
struct SegmentRow<'a> {
    segment: i32,
    row: Row<'a>,
}

/// Declares the columns of a segment, each with its value, in the order of `COPY`.
macro_rules! segment_columns {
    ($segment:ident, $row:ident => $($column:ident: $value:expr,)+) => {
        impl SegmentRow<'_> {
            const COLUMNS: &'static [&'static str] = &[$(stringify!($column)),+];
        }

        impl CopyRow for SegmentRow<'_> {
            fn copy_into(&self, tuple: &mut Tuple<'_>) -> Result<(), sqlx::Error> {
                let Self { segment: $segment, row: $row } = self;
                $(tuple.push($value)?;)+
                Ok(())
            }
        }
    };
}

// `stored_at` is the frame's, in `frame_origins`. Most frames have one origin, whose index is left out.
segment_columns!(
    segment, row =>
    occurred_at: row.occurred_at,
    arrived_at: row.arrived_at,
    frame_number: row.frame_number,
    action_time: row.action_time,
    followers: row.followers,
    purchase_amount: row.purchase_amount,
    watch_time: row.watch_time,
    percentage_watched: row.percentage_watched,
    segment: *segment,
    origin: row.origin.filter(|index| *index > 0),
    source: row.source,
    funnel_stage: row.funnel_stage,
    event_type: row.event_type,
    age: row.age,
    gender: row.gender,
    referrer: row.referrer,
    click_position: row.click_position,
    device: row.device,
    browser: row.browser,
    event_code: IdCode::of(row.event_id),
    user_code: IdCode::of(row.user_id),
    user_name: row.user_name,
    country: row.country,
    city: row.city,
    video_code: row.video_id.map(IdCode::of),
    ad_code: row.ad_id.map(IdCode::of),
    campaign_code: row.campaign_id.map(IdCode::of),
    profile_code: row.profile_id.map(IdCode::of),
    purchased_item: row.purchased_item,
);

static COUNT_DUPLICATES: LazyLock<String> = LazyLock::new(|| {
    let duplicates = "SELECT * FROM UNNEST($1::smallint[], $2::text[], $3::bigint[])";
    [Duplicate::INSERT, duplicates, Duplicate::ADD].concat()
});

/// Inserts the rows that are new into the open segment, in their order, and retains those alone. No closed segment has
/// any of them. Returns the result of `meanwhile` on the new
/// rows, which runs while PostgreSQL stores them.
///
/// # Errors
/// Also a duplicate (see [`is_duplicate`]) that was not looked up, or that another transaction committed meanwhile.
pub(super) async fn insert<'a, T>(
    connection: &mut PgConnection,
    segment: i32,
    rows: &mut Vec<Row<'a>>,
    lookup: &DuplicateLookup,
    meanwhile: impl FnOnce(&[Row<'a>]) -> T,
) -> Result<T, sqlx::Error> {
    let looked_up = lookup.next(rows);
    if !looked_up.rows.is_empty() {
        let stored = stored(connection, segment, &looked_up.rows).await?;
        lookup.note_found(&looked_up, |row| stored.contains(&row.identity()));
        rows.retain(|row| !stored.contains(&row.identity()));
    }
    let new = rows.as_slice();
    let of_segment = new.iter().map(|row| SegmentRow { segment, row: *row });
    copy(connection, &COPY, of_segment, || meanwhile(new)).await
}

/// Whether a row that was taken for new is a duplicate.
pub(super) fn is_duplicate(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| error.constraint().is_some_and(is_identity))
}

/// Whether an index is the unique one of a segment, such as `events_1_identity`.
fn is_identity(index: &str) -> bool {
    index.starts_with("events_") && index.ends_with("_identity")
}

/// The identities that have a row in the open segment.
async fn stored<'a>(
    connection: &mut PgConnection,
    segment: i32,
    rows: &[&Row<'a>],
) -> Result<HashSet<EventIdentity<'a>>, sqlx::Error> {
    let places: Vec<i64> = sqlx::query_scalar(STORED)
        .bind(segment)
        .bind(rows.iter().map(|row| row.source).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| IdCode::of(row.event_id).into_bytes()).collect::<Vec<_>>())
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
