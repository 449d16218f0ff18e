//! Storing in SQLite: one writer at a time, so what was looked up in a transaction stays true to its end.

mod lookout;

use sqlx::{QueryBuilder, Sqlite, SqliteConnection, SqlitePool};

use super::{
    Ending, ErasedPersons, FrameOutcome, KnownErased, Outcomes, Submission,
    lookout::Lookout,
    row::{self, COLUMNS, Row, bind_values},
    sighting::{self, Sighting},
};

/// Takes the write lock at once: a deferred transaction fails when it turns from reading to writing.
pub(super) const BEGIN: &str = "BEGIN IMMEDIATE";
/// Enough that a statement's own cost vanishes, few enough that its text stays in the statement cache.
const ROWS_PER_STATEMENT: usize = 32;

const RECORDED: &str = "SELECT stored, duplicate, parked FROM frames WHERE frame_id = ?";

const RECORD: &str = "INSERT INTO frames (frame_id, source, stored, duplicate, parked, committed_at) \
    VALUES (?, ?, ?, ?, ?, ?)";

pub(super) async fn transact<'a>(
    pool: &SqlitePool,
    known_erased: &KnownErased,
    submissions: &[&Submission<'a>],
    now: i64,
    ending: Ending,
) -> Result<Outcomes<'a>, sqlx::Error> {
    let mut transaction = pool.begin_with(BEGIN).await?;
    let lookout = lookout::look_out(&mut transaction).await?;
    let erased = lookout::erased(&mut transaction, known_erased, lookout).await?;
    let mut outcomes = Outcomes::new();
    for submission in submissions {
        let outcome = match recorded(&mut transaction, submission).await? {
            Some(outcome) => outcome,
            None => store(&mut transaction, submission, lookout, &erased, now).await?,
        };
        outcomes.insert(submission.frame_id(), outcome);
    }
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

async fn store(
    connection: &mut SqliteConnection,
    submission: &Submission<'_>,
    lookout: Lookout,
    erased: &ErasedPersons,
    now: i64,
) -> Result<FrameOutcome, sqlx::Error> {
    let removed = lookout::removed(connection, submission, lookout).await?;
    let mut rows = row::each_once(submission.rows(now));
    rows.retain(|row| !removed.contains(&row.identity()));
    erased.take_out_of(&mut rows);
    let mut stored = 0;
    for rows in rows.chunks(ROWS_PER_STATEMENT) {
        stored += insert(connection, rows).await?;
    }
    let outcome = submission.outcome(stored);
    if outcome.duplicate > 0 {
        let with_row = |sighting: &Sighting<'_>| !removed.contains(&(sighting.source, sighting.event_id));
        let seen = sighting::merged(submission.sightings().filter(with_row));
        for seen in seen.chunks(ROWS_PER_STATEMENT) {
            count_duplicates(connection, seen).await?;
        }
    }
    sqlx::query(RECORD)
        .bind(submission.frame_id())
        .bind(submission.source())
        .bind(outcome.stored.cast_signed())
        .bind(outcome.duplicate.cast_signed())
        .bind(outcome.parked.cast_signed())
        .bind(now)
        .execute(connection)
        .await?;
    Ok(outcome)
}

/// Inserts what is new and returns how many rows that is; of equal keys the first stays.
async fn insert(connection: &mut SqliteConnection, rows: &[Row<'_>]) -> Result<u64, sqlx::Error> {
    let columns: Vec<&str> = COLUMNS.iter().map(|(column, _)| *column).collect();
    let mut statement = QueryBuilder::<Sqlite>::new(format!("INSERT INTO events ({}) ", columns.join(", ")));
    statement.push_values(rows, |mut tuple, row| bind_values(&mut tuple, row));
    statement.push(" ON CONFLICT (source, event_id) DO NOTHING");
    // A frame's last statement has any number of rows; only the full ones are worth remembering.
    let query = statement.build().persistent(rows.len() == ROWS_PER_STATEMENT);
    Ok(query.execute(connection).await?.rows_affected())
}

/// Counts what of `seen` is no event's first time.
async fn count_duplicates(
    connection: &mut SqliteConnection,
    seen: &[Sighting<'_>],
) -> Result<(), sqlx::Error> {
    let mut statement = QueryBuilder::<Sqlite>::new(sighting::SEEN_AS);
    statement.push_values(seen, |mut tuple, sighting| {
        tuple.push_bind(sighting.source).push_bind(sighting.event_id);
        tuple.push_bind(sighting.frame_id).push_bind(sighting.times);
    });
    statement.push(sighting::COUNT_DUPLICATES);
    statement.build().persistent(seen.len() == ROWS_PER_STATEMENT).execute(connection).await?;
    Ok(())
}
