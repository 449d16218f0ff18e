//! Frames and their accounts: each frame is recorded once, by whoever claims it.

use std::collections::{HashMap, HashSet};

use sqlx::PgConnection;

use crate::store::{FrameOutcome, Outcomes, Submission};

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

/// Records the frames that nobody recorded before and returns their ids; waits for whoever is recording one.
pub(super) async fn claim(
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
pub(super) async fn recorded<'a>(
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

/// Writes what became of claimed frames.
pub(super) async fn account(
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
