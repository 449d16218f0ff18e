//! Storing in PostgreSQL: one transaction in a handful of round trips.
//!
//! New rows are copied; all other statements are set-based and bind arrays, so that no limit of bind parameters bounds
//! a batch. Frames are claimed before events are inserted, events are inserted before duplicates are counted, and
//! rollups come last; each in the order of their keys. Two collectors with the same frames, events or buckets then wait
//! for each other, and never in a circle.

mod closed_segments;
mod duplicate_lookup;
mod rows;

use std::collections::{HashMap, HashSet};

pub(super) use closed_segments::ClosedSegments;
pub(super) use duplicate_lookup::DuplicateLookup;
pub(crate) use rows::COPY_EVENTS;
use sqlx::{Connection as _, PgConnection, PgPool};
use weir_journal::Position;

use super::{
    erased::ErasedCache,
    frame_origins,
    guards::Guards,
    limits::{BEGIN_POSTGRES, is_timeout, with_time_limit},
    people_deltas::{self, ObservedPeople},
    rollups::{self, Rollups},
    row,
    submission::{Ending, FrameOutcome, Outcomes, Submission, duplicates},
};

const CLAIM: &str = "INSERT INTO frames (frame_id, source, stored, duplicate, parked, committed_at) \
    SELECT claim.frame_id, claim.source, 0, 0, 0, $3 \
    FROM UNNEST($1::text[], $2::smallint[]) AS claim (frame_id, source) \
    ON CONFLICT DO NOTHING RETURNING frame_id";

const RECORDED: &str = "SELECT frame_id, stored, duplicate, parked FROM frames WHERE frame_id = ANY($1)";

const WRITE_ACCOUNTS: &str = "UPDATE frames \
    SET stored = account.stored, duplicate = account.duplicate, parked = account.parked \
    FROM UNNEST($1::text[], $2::bigint[], $3::bigint[], $4::bigint[]) \
        AS account (frame_id, stored, duplicate, parked) \
    WHERE frames.frame_id = account.frame_id";

const RECORD_SETTLED: &str = "INSERT INTO settled_frames (journal, sequence) \
    SELECT * FROM UNNEST($1::bigint[], $2::bigint[]) ON CONFLICT DO NOTHING";

/// The caches that transactions of one store share.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caches<'c> {
    pub(super) erased: &'c ErasedCache,
    pub(super) lookup: &'c DuplicateLookup,
    pub(super) segments: &'c ClosedSegments,
}

/// Runs one storing transaction. Repeats it after a look at all events where a row that was taken for new is not.
pub(super) async fn transact<'a>(
    pool: &PgPool,
    caches: Caches<'_>,
    submissions: &[&Submission<'a>],
    positions: &[Position],
    ending: Ending,
) -> Result<Outcomes<'a>, sqlx::Error> {
    let mut connection = pool.acquire().await?;
    let transaction = async {
        loop {
            let result = transact_on(&mut connection, caches, submissions, positions, ending).await;
            if !result.as_ref().is_err_and(rows::is_duplicate) {
                return result;
            }
            caches.lookup.note_missed();
        }
    };
    let result = with_time_limit(transaction).await;
    if result.as_ref().is_err_and(is_timeout) {
        connection.close_on_drop();
    }
    result
}

async fn transact_on<'a>(
    connection: &mut PgConnection,
    caches: Caches<'_>,
    submissions: &[&Submission<'a>],
    positions: &[Position],
    ending: Ending,
) -> Result<Outcomes<'a>, sqlx::Error> {
    let mut transaction = connection.begin_with(BEGIN_POSTGRES).await?;
    let guards = Guards::in_postgres(&mut transaction).await?;
    let claimed = claim_frames(&mut transaction, submissions, guards.now).await?;
    let (claimed, recorded): (Vec<&Submission<'a>>, Vec<&Submission<'a>>) =
        submissions.iter().partition(|submission| claimed.contains(submission.frame_id()));
    let mut outcomes = recorded_outcomes(&mut transaction, &recorded).await?;
    if !claimed.is_empty() {
        outcomes.extend(insert_frames(&mut transaction, caches, &claimed, guards).await?);
    }
    record_settled(&mut transaction, positions).await?;
    match ending {
        Ending::Commit => transaction.commit().await?,
        Ending::RollBack => transaction.rollback().await?,
    }
    Ok(outcomes)
}

/// Inserts the new events of claimed frames, writes the accounts and adds to the rollups.
async fn insert_frames<'a>(
    connection: &mut PgConnection,
    caches: Caches<'_>,
    claimed: &[&Submission<'a>],
    guards: Guards,
) -> Result<Vec<(&'a str, FrameOutcome)>, sqlx::Error> {
    let erased = guards.erased_in_postgres(connection, caches.erased).await?;
    let mut removed = guards.removed_in_postgres(connection, claimed).await?;
    let numbers = frame_origins::insert_in_postgres(connection, claimed, guards.now).await?;
    let number_of = |submission: &Submission<'_>| numbers[submission.frame_id()];
    let mut rows = row::deduplicated(
        claimed.iter().flat_map(|submission| submission.rows(number_of(submission), guards.now)),
    );
    rows.retain(|row| !removed.contains(&row.identity()));
    let before = caches.segments.find(connection, guards.segments, &rows).await?;
    rows.retain(|row| !before.contains(row));
    removed.extend(&before.removed);
    erased.anonymize(&mut rows);
    let add_up = |new: &[row::Row<'a>]| {
        let rollups = Rollups::of(new);
        let deltas = ObservedPeople::of(new).deltas().collect::<Vec<_>>();
        (deltas, rollups.sales(), rollups.kinds(), rollups.campaigns())
    };
    let (deltas, sales, kinds, campaigns) =
        rows::insert(connection, guards.segments.open, &mut rows, caches.lookup, add_up).await?;
    let mut stored: HashMap<Option<i64>, u64> = HashMap::new();
    rows.iter().for_each(|row| *stored.entry(row.frame_number).or_default() += 1);
    let outcome = |submission: &&Submission<'a>| {
        let stored = stored.get(&Some(number_of(submission))).copied().unwrap_or(0);
        (submission.frame_id(), submission.outcome(stored))
    };
    let outcomes: Vec<(&'a str, FrameOutcome)> = claimed.iter().map(outcome).collect();
    let with_duplicates = claimed.iter().zip(&outcomes).filter(|(_, (_, outcome))| outcome.duplicate > 0);
    let occurrences =
        with_duplicates.flat_map(|(submission, _)| submission.occurrences(number_of(submission)));
    let with_row = occurrences.filter(|occurrence| !removed.contains(&occurrence.identity));
    rows::count_duplicates(connection, &duplicates(with_row, &rows)).await?;
    write_accounts(connection, &outcomes).await?;
    people_deltas::insert_deltas!(connection, deltas, guards.now);
    rollups::insert_sales!(connection, sales, guards.now);
    rollups::add_in_postgres(connection, &kinds, &campaigns).await?;
    Ok(outcomes)
}

/// Records the frames that were not recorded before and returns their ids. Waits where another transaction is recording
/// one of them.
async fn claim_frames(
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
async fn recorded_outcomes<'a>(
    connection: &mut PgConnection,
    recorded: &[&Submission<'a>],
) -> Result<Outcomes<'a>, sqlx::Error> {
    if recorded.is_empty() {
        return Ok(Outcomes::new());
    }
    let frame_ids: Vec<&str> = recorded.iter().map(|submission| submission.frame_id()).collect();
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
    recorded.iter().map(outcome).collect()
}

/// Writes the accounts of claimed frames.
async fn write_accounts(
    connection: &mut PgConnection,
    outcomes: &[(&str, FrameOutcome)],
) -> Result<(), sqlx::Error> {
    let column = |count: fn(&FrameOutcome) -> u64| -> Vec<i64> {
        outcomes.iter().map(|(_, outcome)| count(outcome).cast_signed()).collect()
    };
    sqlx::query(WRITE_ACCOUNTS)
        .bind(outcomes.iter().map(|(frame_id, _)| *frame_id).collect::<Vec<_>>())
        .bind(column(|outcome| outcome.stored))
        .bind(column(|outcome| outcome.duplicate))
        .bind(column(|outcome| outcome.parked))
        .execute(connection)
        .await?;
    Ok(())
}

/// Records frames as settled before the journal acknowledges them, so that the audit can compare both. Positions
/// ascend: two collectors with the same frames then wait for each other, and never in a circle.
async fn record_settled(connection: &mut PgConnection, positions: &[Position]) -> Result<(), sqlx::Error> {
    if positions.is_empty() {
        return Ok(());
    }
    let (journals, sequences): (Vec<i64>, Vec<i64>) =
        positions.iter().map(|position| (position.journal, position.sequence.cast_signed())).unzip();
    sqlx::query(RECORD_SETTLED).bind(journals).bind(sequences).execute(connection).await?;
    Ok(())
}
