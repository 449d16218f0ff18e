//! Storing in SQLite: one writer at a time, so what was looked up in a transaction stays true to its end.

mod guards;
pub(crate) mod rollups;
mod rows;

use sqlx::{Connection as _, SqliteConnection, SqlitePool};
use weir_journal::Position;

use super::{
    Ending, ErasedPersons, FrameOutcome, KnownErased, Outcomes, Submission,
    guards::Lookout,
    occurrence,
    people_deltas::{self, Seen},
    rollups::Rollups,
    row, settled,
};

/// Takes the write lock at once: a deferred transaction fails when it turns from reading to writing.
pub(crate) const BEGIN: &str = "BEGIN IMMEDIATE";
/// Enough that a statement's own cost vanishes, few enough that its text stays in the statement cache.
const ROWS_PER_STATEMENT: usize = 32;

const RECORDED: &str = "SELECT stored, duplicate, parked FROM frames WHERE frame_id = ?";

const RECORD: &str = "INSERT INTO frames (frame_id, source, stored, duplicate, parked, committed_at) \
    VALUES (?, ?, ?, ?, ?, ?)";

/// What new rows add to other tables.
#[derive(Debug, Default)]
struct New<'a> {
    rollups: Rollups<'a>,
    people: Seen,
}

pub(super) async fn transact<'a>(
    pool: &SqlitePool,
    known_erased: &KnownErased,
    submissions: &[&Submission<'a>],
    positions: &[Position],
    ending: Ending,
) -> Result<Outcomes<'a>, sqlx::Error> {
    let mut connection = pool.acquire().await?;
    let outcomes = transact_on(&mut connection, known_erased, submissions, positions, ending).await;
    if outcomes.is_err() && is_stuck(&mut connection).await {
        connection.close_on_drop();
    }
    outcomes
}

/// Where a disk is full, SQLite rolls back itself. Then sqlx can't, and takes the connection for one that is in a
/// transaction for ever.
async fn is_stuck(connection: &mut SqliteConnection) -> bool {
    // The rollback that the end of a transaction asks for has been tried when this is answered.
    connection.ping().await.is_err() || connection.is_in_transaction()
}

async fn transact_on<'a>(
    connection: &mut SqliteConnection,
    known_erased: &KnownErased,
    submissions: &[&Submission<'a>],
    positions: &[Position],
    ending: Ending,
) -> Result<Outcomes<'a>, sqlx::Error> {
    let mut transaction = connection.begin_with(BEGIN).await?;
    let lookout = guards::look_out(&mut transaction).await?;
    let erased = guards::erased(&mut transaction, known_erased, lookout).await?;
    let mut outcomes = Outcomes::new();
    let mut counted = New::default();
    for submission in submissions {
        let outcome = match recorded(&mut transaction, submission).await? {
            Some(outcome) => outcome,
            None => store(&mut transaction, submission, lookout, &erased, &mut counted).await?,
        };
        outcomes.insert(submission.frame_id(), outcome);
    }
    people_deltas::note!(transaction, counted.people.deltas(), lookout.now);
    rollups::add(&mut transaction, &counted.rollups).await?;
    settled::record_in_sqlite(&mut transaction, positions).await?;
    match ending {
        Ending::Commit => transaction.commit().await?,
        Ending::RollBack => transaction.rollback().await?,
    }
    Ok(outcomes)
}

async fn recorded(
    connection: &mut SqliteConnection,
    submission: &Submission<'_>,
) -> Result<Option<FrameOutcome>, sqlx::Error> {
    let row: Option<(i64, i64, i64)> =
        sqlx::query_as(RECORDED).bind(submission.frame_id()).fetch_optional(connection).await?;
    Ok(row.map(|(stored, duplicate, parked)| FrameOutcome::recorded_before(stored, duplicate, parked)))
}

/// Stores what is new of a frame, writes its accounts and counts the new rows in `counted`.
async fn store<'a>(
    connection: &mut SqliteConnection,
    submission: &Submission<'a>,
    lookout: Lookout,
    erased: &ErasedPersons,
    counted: &mut New<'a>,
) -> Result<FrameOutcome, sqlx::Error> {
    let removed = guards::removed(connection, submission, lookout).await?;
    let mut rows = row::each_once(submission.rows(lookout.now));
    rows.retain(|row| !removed.contains(&row.identity()));
    erased.take_out_of(&mut rows);
    rows::insert(connection, &mut rows).await?;
    for row in &rows {
        counted.rollups.add(row);
        counted.people.add(row);
    }
    let outcome = submission.outcome(rows.len() as u64);
    if outcome.duplicate > 0 {
        let with_row = submission.sightings().filter(|sighting| !removed.contains(&sighting.identity));
        rows::count_duplicates(connection, &occurrence::duplicates(with_row, &rows)).await?;
    }
    sqlx::query(RECORD)
        .bind(submission.frame_id())
        .bind(submission.source())
        .bind(outcome.stored.cast_signed())
        .bind(outcome.duplicate.cast_signed())
        .bind(outcome.parked.cast_signed())
        .bind(lookout.now)
        .execute(connection)
        .await?;
    Ok(outcome)
}
