//! Storing in SQLite: one transaction. There is one writer, so that each lookup stays true until the transaction ends.

use std::collections::HashSet;

use sqlx::{Connection as _, QueryBuilder, Sqlite, SqliteConnection, SqlitePool};
use weir_journal::Position;

use super::{
    erased::{ErasedCache, ErasedPersons},
    frame_origins,
    guards::Guards,
    limits::{BEGIN_SQLITE, ROWS_PER_STATEMENT},
    people_deltas::{self, ObservedPeople},
    rollups::{self, Rollups},
    row::{self, Row},
    submission::{Duplicate, Ending, FrameOutcome, Outcomes, Submission, duplicates},
};

const RECORDED: &str = "SELECT stored, duplicate, parked FROM frames WHERE frame_id = ?";

const RECORD: &str = "INSERT INTO frames (frame_id, source, stored, duplicate, parked, committed_at) \
    VALUES (?, ?, ?, ?, ?, ?)";

/// The additions of new rows to other tables.
#[derive(Debug, Default)]
struct Additions<'a> {
    rollups: Rollups<'a>,
    people: ObservedPeople,
}

/// Runs one storing transaction.
pub(super) async fn transact<'a>(
    pool: &SqlitePool,
    erased: &ErasedCache,
    submissions: &[&Submission<'a>],
    positions: &[Position],
    ending: Ending,
) -> Result<Outcomes<'a>, sqlx::Error> {
    let mut connection = pool.acquire().await?;
    let outcomes = transact_on(&mut connection, erased, submissions, positions, ending).await;
    if outcomes.is_err() && is_stuck(&mut connection).await {
        connection.close_on_drop();
    }
    outcomes
}

/// Whether the connection is in a transaction that can't be ended. Where the disk is full, SQLite rolls back by itself.
/// The rollback of sqlx fails then, and sqlx takes the connection for one in a transaction for ever.
async fn is_stuck(connection: &mut SqliteConnection) -> bool {
    // The ping comes after the rollback that the dropped transaction has queued.
    connection.ping().await.is_err() || connection.is_in_transaction()
}

async fn transact_on<'a>(
    connection: &mut SqliteConnection,
    erased: &ErasedCache,
    submissions: &[&Submission<'a>],
    positions: &[Position],
    ending: Ending,
) -> Result<Outcomes<'a>, sqlx::Error> {
    let mut transaction = connection.begin_with(BEGIN_SQLITE).await?;
    let guards = Guards::in_sqlite(&mut transaction).await?;
    let erased = guards.erased_in_sqlite(&mut transaction, erased).await?;
    let mut outcomes = Outcomes::new();
    let mut additions = Additions::default();
    for submission in submissions {
        let outcome = match recorded_outcome(&mut transaction, submission).await? {
            Some(outcome) => outcome,
            None => insert_frame(&mut transaction, submission, guards, &erased, &mut additions).await?,
        };
        outcomes.insert(submission.frame_id(), outcome);
    }
    people_deltas::insert_deltas!(transaction, additions.people.deltas(), guards.now);
    rollups::insert_sales!(transaction, additions.rollups.sales(), guards.now);
    rollups::add_in_sqlite(&mut transaction, &additions.rollups).await?;
    record_settled(&mut transaction, positions).await?;
    match ending {
        Ending::Commit => transaction.commit().await?,
        Ending::RollBack => transaction.rollback().await?,
    }
    Ok(outcomes)
}

/// The accounts of a frame that was recorded before.
async fn recorded_outcome(
    connection: &mut SqliteConnection,
    submission: &Submission<'_>,
) -> Result<Option<FrameOutcome>, sqlx::Error> {
    let row: Option<(i64, i64, i64)> =
        sqlx::query_as(RECORDED).bind(submission.frame_id()).fetch_optional(connection).await?;
    Ok(row.map(|(stored, duplicate, parked)| FrameOutcome::recorded_before(stored, duplicate, parked)))
}

/// Inserts the new events of a frame, writes its accounts and adds its new rows to `additions`.
async fn insert_frame<'a>(
    connection: &mut SqliteConnection,
    submission: &Submission<'a>,
    guards: Guards,
    erased: &ErasedPersons,
    additions: &mut Additions<'a>,
) -> Result<FrameOutcome, sqlx::Error> {
    let removed = guards.removed_in_sqlite(connection, submission).await?;
    let number = frame_origins::insert_in_sqlite(connection, submission, guards.now).await?;
    let mut rows = row::deduplicated(submission.rows(number, guards.now));
    rows.retain(|row| !removed.contains(&row.identity()));
    erased.anonymize(&mut rows);
    insert_rows(connection, &mut rows).await?;
    for row in &rows {
        additions.rollups.add(row);
        additions.people.add(row);
    }
    let outcome = submission.outcome(rows.len() as u64);
    if outcome.duplicate > 0 {
        let occurrences = submission.occurrences(number);
        let with_row = occurrences.filter(|occurrence| !removed.contains(&occurrence.identity));
        count_duplicates(connection, &duplicates(with_row, &rows)).await?;
    }
    sqlx::query(RECORD)
        .bind(submission.frame_id())
        .bind(submission.source())
        .bind(outcome.stored.cast_signed())
        .bind(outcome.duplicate.cast_signed())
        .bind(outcome.parked.cast_signed())
        .bind(guards.now)
        .execute(connection)
        .await?;
    Ok(outcome)
}

/// Inserts the rows of a frame that are new, and retains those alone.
async fn insert_rows(connection: &mut SqliteConnection, rows: &mut Vec<Row<'_>>) -> Result<(), sqlx::Error> {
    let mut old: HashSet<String> = HashSet::new();
    for rows in rows.chunks(ROWS_PER_STATEMENT) {
        if insert_chunk(connection, rows).await? < rows.len() as u64 {
            old.extend(old_ids(connection, rows).await?);
        }
    }
    rows.retain(|row| !old.contains(row.event_id));
    Ok(())
}

/// Returns how many rows were new.
async fn insert_chunk(connection: &mut SqliteConnection, rows: &[Row<'_>]) -> Result<u64, sqlx::Error> {
    let columns = Row::COLUMNS.join(", ");
    let mut statement = QueryBuilder::<Sqlite>::new(format!("INSERT INTO events ({columns}) "));
    statement.push_values(rows, |mut tuple, row| row.bind_values(&mut tuple));
    statement.push(" ON CONFLICT (source, event_id) DO NOTHING");
    // The last statement of a frame has any number of rows; only full ones are worth a place in the cache.
    let query = statement.build().persistent(rows.len() == ROWS_PER_STATEMENT);
    Ok(query.execute(connection).await?.rows_affected())
}

/// The event ids of rows that were there before. A frame is stored once, so that a row with another frame's number, or
/// without one, is an old one.
async fn old_ids(connection: &mut SqliteConnection, rows: &[Row<'_>]) -> Result<Vec<String>, sqlx::Error> {
    let mut statement = QueryBuilder::<Sqlite>::new("SELECT event_id FROM events WHERE frame_number IS NOT ");
    statement.push_bind(rows[0].frame_number).push(" AND source = ").push_bind(rows[0].source);
    statement.push(" AND event_id IN ");
    statement.push_tuples(rows, |mut tuple, row| {
        tuple.push_bind(row.event_id);
    });
    let query = statement.build_query_scalar().persistent(rows.len() == ROWS_PER_STATEMENT);
    query.fetch_all(connection).await
}

/// Adds to the counts of duplicates.
async fn count_duplicates(
    connection: &mut SqliteConnection,
    duplicates: &[Duplicate<'_>],
) -> Result<(), sqlx::Error> {
    for duplicates in duplicates.chunks(ROWS_PER_STATEMENT) {
        let mut statement = QueryBuilder::<Sqlite>::new(Duplicate::INSERT);
        statement.push_values(duplicates, |mut tuple, Duplicate { identity: (source, event_id), times }| {
            tuple.push_bind(source).push_bind(event_id).push_bind(times);
        });
        statement.push(Duplicate::ADD);
        let query = statement.build().persistent(duplicates.len() == ROWS_PER_STATEMENT);
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

/// Records frames as settled before the journal acknowledges them, so that the audit can compare both. A batch of a
/// worker has few frames, so that one statement takes all of them.
async fn record_settled(
    connection: &mut SqliteConnection,
    positions: &[Position],
) -> Result<(), sqlx::Error> {
    if positions.is_empty() {
        return Ok(());
    }
    let mut statement = QueryBuilder::<Sqlite>::new("INSERT INTO settled_frames (journal, sequence) ");
    statement.push_values(positions, |mut tuple, position| {
        tuple.push_bind(position.journal).push_bind(position.sequence.cast_signed());
    });
    statement.push(" ON CONFLICT DO NOTHING");
    statement.build().execute(connection).await?;
    Ok(())
}
