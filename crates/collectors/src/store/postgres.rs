//! Storing in PostgreSQL: new rows are copied and all else goes in set-based statements over arrays, so that a batch is
//! a handful of round trips and no bind-parameter limit bounds it.
//!
//! Frames are claimed before events are inserted, events are inserted before duplicates are counted, and rollups come
//! last, each in the order of their keys: two collectors with the same frames, events or buckets wait for each other
//! and never in a circle.

mod accounts;
mod copy;
mod guards;
mod lookup_policy;
mod recent_ids;
pub(crate) mod rollups;
mod rows;

use std::{collections::HashMap, time::Duration};

pub(super) use copy::{Copied, Tuple};
use lookup_policy::Caution;
use recent_ids::Recent;
pub(super) use rows::COPY_EVENTS;
use sqlx::{Connection as _, PgConnection, PgPool};
use weir_journal::Position;

use super::{
    Ending, FrameOutcome, Known, Outcomes, Submission,
    guards::Lookout,
    occurrence,
    people_deltas::{self, Seen},
    rollups::Rollups,
    row, settled,
};

/// How long a transaction may take before its connection is given up: a half-open connection answers nothing.
pub(super) const LIMIT: Duration = Duration::from_secs(15);
/// The server gives up first, so that a table that is locked for long gathers no abandoned transactions. It also gives
/// up a transaction whose client fell silent between two statements: behind a connection that died unnoticed, its
/// claim would keep the same frames from every other collector until the server's TCP notices, hours later. Of a client
/// that fell silent within a copy it takes no notice: see `silence`.
pub(crate) const BEGIN: &str = "BEGIN; SET LOCAL statement_timeout = '10s'; \
    SET LOCAL idle_in_transaction_session_timeout = '10s'";

/// What a process knows of the events that are stored. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct KnownEvents {
    recent: Recent,
    caution: Caution,
}

pub(super) async fn transact<'a>(
    pool: &PgPool,
    known: &Known,
    submissions: &[&Submission<'a>],
    positions: &[Position],
    ending: Ending,
) -> Result<Outcomes<'a>, sqlx::Error> {
    let mut connection = pool.acquire().await?;
    let transaction = async {
        loop {
            let result = transact_on(&mut connection, known, submissions, positions, ending).await;
            if !result.as_ref().is_err_and(is_known_event) {
                return result;
            }
            known.events.caution.was_surprised();
        }
    };
    let result = in_time(transaction).await;
    if result.as_ref().is_err_and(is_out_of_time) {
        connection.close_on_drop();
    }
    result
}

/// # Errors
/// What `work` fails with, and a timeout after [`LIMIT`]: what it did on its connection then is unknown.
pub(super) async fn in_time<T>(work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    let late = || std::io::Error::new(std::io::ErrorKind::TimedOut, "the database took too long");
    tokio::time::timeout(LIMIT, work).await.unwrap_or_else(|_| Err(late().into()))
}

fn is_out_of_time(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Io(error) if error.kind() == std::io::ErrorKind::TimedOut)
}

/// Whether rows that were taken to be new were not.
fn is_known_event(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| error.constraint() == Some(rows::KEY))
}

async fn transact_on<'a>(
    connection: &mut PgConnection,
    known: &Known,
    submissions: &[&Submission<'a>],
    positions: &[Position],
    ending: Ending,
) -> Result<Outcomes<'a>, sqlx::Error> {
    let mut transaction = connection.begin_with(BEGIN).await?;
    let lookout = guards::look_out(&mut transaction).await?;
    let claimed = accounts::claim(&mut transaction, submissions, lookout.now).await?;
    let (claimed, recorded): (Vec<&Submission<'a>>, Vec<&Submission<'a>>) =
        submissions.iter().partition(|submission| claimed.contains(submission.frame_id()));
    let mut outcomes = accounts::recorded(&mut transaction, &recorded).await?;
    if !claimed.is_empty() {
        outcomes.extend(store(&mut transaction, known, &claimed, lookout).await?);
    }
    settled::record_in_postgres(&mut transaction, positions).await?;
    match ending {
        Ending::Commit => transaction.commit().await?,
        Ending::RollBack => transaction.rollback().await?,
    }
    Ok(outcomes)
}

/// Stores what is new of frames that are claimed, writes their accounts and counts the new rows up.
async fn store<'a>(
    connection: &mut PgConnection,
    known: &Known,
    claimed: &[&Submission<'a>],
    lookout: Lookout,
) -> Result<Vec<(&'a str, FrameOutcome)>, sqlx::Error> {
    let erased = guards::erased(connection, &known.erased, lookout).await?;
    let removed = guards::removed(connection, claimed, lookout).await?;
    let mut rows = row::each_once(claimed.iter().flat_map(|submission| submission.rows(lookout.now)));
    rows.retain(|row| !removed.contains(&row.identity()));
    erased.take_out_of(&mut rows);
    let counted = |new: &[row::Row<'a>]| {
        let rollups = Rollups::of(new);
        (Seen::of(new).deltas().collect::<Vec<_>>(), rollups.kinds(), rollups.campaigns())
    };
    let (people, kinds, campaigns) = rows::insert(connection, &mut rows, &known.events, counted).await?;
    let mut stored: HashMap<&str, u64> = HashMap::new();
    rows.iter().for_each(|row| *stored.entry(row.frame_id).or_default() += 1);
    let outcome = |submission: &&Submission<'a>| {
        let stored = stored.get(submission.frame_id()).copied().unwrap_or(0);
        (submission.frame_id(), submission.outcome(stored))
    };
    let outcomes: Vec<(&'a str, FrameOutcome)> = claimed.iter().map(outcome).collect();
    let with_duplicates = claimed.iter().zip(&outcomes).filter(|(_, (_, outcome))| outcome.duplicate > 0);
    let sightings = with_duplicates.flat_map(|(submission, _)| submission.sightings());
    let with_row = sightings.filter(|sighting| !removed.contains(&sighting.identity));
    rows::count_duplicates(connection, &occurrence::duplicates(with_row, &rows)).await?;
    accounts::account(connection, &outcomes).await?;
    people_deltas::note!(connection, people, lookout.now);
    rollups::add(connection, &kinds, &campaigns).await?;
    Ok(outcomes)
}
