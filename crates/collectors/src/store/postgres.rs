//! Storing in PostgreSQL: set-based statements over arrays, so that a batch is a handful of round trips and no
//! bind-parameter limit bounds it.
//!
//! Frames are claimed before events are inserted, and events are inserted before duplicates are counted, each in
//! the order of their keys: two collectors with the same frames or events wait for each other and never in a circle.

use std::{
    collections::{HashMap, HashSet},
    sync::LazyLock,
    time::Duration,
};

use sqlx::{Connection as _, PgConnection, PgPool, Row as _};

use super::{
    Ending, FrameOutcome, Outcomes, Submission,
    row::{COLUMNS, Row, bind_arrays},
    sighting,
};

/// How long a transaction may take before its connection is given up: a half-open connection answers nothing.
const LIMIT: Duration = Duration::from_secs(15);
/// The server gives up first, so that a table that is locked for long gathers no abandoned transactions. It also gives
/// up a transaction whose client fell silent between two statements: behind a connection that died unnoticed, its
/// claim would keep the same frames from every other collector until the server's TCP notices, hours later.
pub(super) const BEGIN: &str = "BEGIN; SET LOCAL statement_timeout = '10s'; \
    SET LOCAL idle_in_transaction_session_timeout = '10s'";

const CLAIM: &str = "INSERT INTO frames (frame_id, source, stored, duplicate, parked, committed_at) \
    SELECT claim.frame_id, claim.source, 0, 0, 0, $3 \
    FROM UNNEST($1::text[], $2::smallint[]) AS claim (frame_id, source) \
    ON CONFLICT DO NOTHING RETURNING frame_id";

const RECORDED: &str = "SELECT frame_id, stored, duplicate, parked FROM frames WHERE frame_id = ANY($1)";

const ACCOUNT: &str = "UPDATE frames \
    SET stored = account.stored, duplicate = account.duplicate, parked = account.parked \
    FROM UNNEST($1::text[], $2::bigint[], $3::bigint[], $4::bigint[]) \
        AS account (frame_id, stored, duplicate, parked) \
    WHERE frames.frame_id = account.frame_id";

/// Inserts what is new and counts it by frame.
static INSERT: LazyLock<String> = LazyLock::new(|| {
    let columns: Vec<&str> = COLUMNS.iter().map(|(column, _)| *column).collect();
    let arrays: Vec<String> =
        COLUMNS.iter().enumerate().map(|(index, (_, array))| format!("${}::{array}", index + 1)).collect();
    format!(
        "WITH fresh AS (INSERT INTO events ({}) SELECT * FROM UNNEST({}) \
         ON CONFLICT (source, event_id) DO NOTHING RETURNING frame_id) \
         SELECT frame_id, count(*) FROM fresh GROUP BY frame_id",
        columns.join(", "),
        arrays.join(", "),
    )
});

static COUNT_DUPLICATES: LazyLock<String> = LazyLock::new(|| {
    let sightings = "SELECT * FROM UNNEST($1::smallint[], $2::text[], $3::text[], $4::bigint[])";
    [sighting::SEEN_AS, sightings, sighting::COUNT_DUPLICATES].concat()
});

pub(super) async fn transact<'a>(
    pool: &PgPool,
    submissions: &[&Submission<'a>],
    now: i64,
    ending: Ending,
) -> Result<Outcomes<'a>, sqlx::Error> {
    let mut connection = pool.acquire().await?;
    match tokio::time::timeout(LIMIT, transact_on(&mut connection, submissions, now, ending)).await {
        Ok(result) => result,
        Err(_) => {
            connection.close_on_drop();
            Err(std::io::Error::new(std::io::ErrorKind::TimedOut, "the transaction took too long").into())
        }
    }
}

async fn transact_on<'a>(
    connection: &mut PgConnection,
    submissions: &[&Submission<'a>],
    now: i64,
    ending: Ending,
) -> Result<Outcomes<'a>, sqlx::Error> {
    let mut transaction = connection.begin_with(BEGIN).await?;
    let claimed = claim(&mut transaction, submissions, now).await?;
    let (claimed, known): (Vec<&Submission<'a>>, Vec<&Submission<'a>>) =
        submissions.iter().partition(|submission| claimed.contains(submission.frame_id()));
    let mut outcomes = recorded(&mut transaction, &known).await?;
    if !claimed.is_empty() {
        let stored = insert(&mut transaction, &claimed, now).await?;
        let fresh: Vec<(&'a str, FrameOutcome)> = claimed
            .iter()
            .map(|claimed| {
                (claimed.frame_id(), claimed.outcome(stored.get(claimed.frame_id()).copied().unwrap_or(0)))
            })
            .collect();
        count_duplicates(&mut transaction, &claimed, &fresh).await?;
        account(&mut transaction, &fresh).await?;
        outcomes.extend(fresh);
    }
    match ending {
        Ending::Commit => transaction.commit().await?,
        Ending::RollBack => transaction.rollback().await?,
    }
    Ok(outcomes)
}

/// Records the frames that nobody recorded before and returns their ids; waits for whoever is recording one.
async fn claim(
    connection: &mut PgConnection,
    submissions: &[&Submission<'_>],
    now: i64,
) -> Result<HashSet<String>, sqlx::Error> {
    let mut claims: Vec<(&str, i16)> =
        submissions.iter().map(|submission| (submission.frame_id(), submission.source())).collect();
    claims.sort_unstable();
    let (frame_ids, sources): (Vec<&str>, Vec<i16>) = claims.into_iter().unzip();
    let claimed =
        sqlx::query_scalar(CLAIM).bind(frame_ids).bind(sources).bind(now).fetch_all(connection).await?;
    Ok(claimed.into_iter().collect())
}

/// The accounts of frames that were recorded before.
async fn recorded<'a>(
    connection: &mut PgConnection,
    known: &[&Submission<'a>],
) -> Result<Outcomes<'a>, sqlx::Error> {
    if known.is_empty() {
        return Ok(Outcomes::new());
    }
    let frame_ids: Vec<&str> = known.iter().map(|submission| submission.frame_id()).collect();
    let rows: Vec<(String, i64, i64, i64)> =
        sqlx::query_as(RECORDED).bind(frame_ids).fetch_all(connection).await?;
    let accounts: HashMap<String, FrameOutcome> = rows
        .into_iter()
        .map(|(frame_id, stored, duplicate, parked)| {
            (frame_id, FrameOutcome::recorded_before(stored, duplicate, parked))
        })
        .collect();
    let outcome = |submission: &&Submission<'a>| {
        let outcome = accounts.get(submission.frame_id()).copied();
        outcome.map(|outcome| (submission.frame_id(), outcome)).ok_or(sqlx::Error::RowNotFound)
    };
    known.iter().map(outcome).collect()
}

/// Inserts the events that are new and returns how many each frame brought. Rows are sorted by key; of equal
/// keys the first in the batch stays, because the sort is stable.
async fn insert(
    connection: &mut PgConnection,
    submissions: &[&Submission<'_>],
    now: i64,
) -> Result<HashMap<String, u64>, sqlx::Error> {
    let mut rows: Vec<Row<'_>> = submissions.iter().flat_map(|submission| submission.rows(now)).collect();
    rows.sort_by_key(|row| (row.source, row.event_id));
    let counts = bind_arrays(sqlx::query(INSERT.as_str()), &rows).fetch_all(connection).await?;
    counts.iter().map(|count| Ok((count.try_get(0)?, count.try_get::<i64, _>(1)?.unsigned_abs()))).collect()
}

/// Counts the events of frames that were not all new, by identity; frames without duplicates cost nothing.
async fn count_duplicates(
    connection: &mut PgConnection,
    submissions: &[&Submission<'_>],
    outcomes: &[(&str, FrameOutcome)],
) -> Result<(), sqlx::Error> {
    let with_duplicates = submissions
        .iter()
        .zip(outcomes)
        .filter(|(_, (_, outcome))| outcome.duplicate > 0)
        .flat_map(|(submission, _)| submission.sightings());
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

async fn account(
    connection: &mut PgConnection,
    outcomes: &[(&str, FrameOutcome)],
) -> Result<(), sqlx::Error> {
    let column = |count: fn(&FrameOutcome) -> u64| -> Vec<i64> {
        outcomes.iter().map(|(_, outcome)| count(outcome).cast_signed()).collect()
    };
    sqlx::query(ACCOUNT)
        .bind(outcomes.iter().map(|(frame_id, _)| *frame_id).collect::<Vec<_>>())
        .bind(column(|outcome| outcome.stored))
        .bind(column(|outcome| outcome.duplicate))
        .bind(column(|outcome| outcome.parked))
        .execute(connection)
        .await?;
    Ok(())
}
