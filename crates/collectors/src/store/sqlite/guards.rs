//! The exceptions to look out for: persons who were erased, and the keys of events whose rows were removed.

use std::{
    collections::HashSet,
    sync::{Arc, LazyLock},
};

use chrono::Utc;
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use super::ROWS_PER_STATEMENT;
use crate::store::{
    Submission,
    erased::{ErasedPersons, KnownErased, Record, SELECT_KEY, SELECT_RECORDS},
    guards::{LOOK_OUT, Lookout},
    keys::{Asked, EventKey, Identity},
};

/// And when the newest row was stored.
static LOOK_OUT_AND_LAST: LazyLock<String> =
    LazyLock::new(|| format!("{LOOK_OUT}, (SELECT MAX(stored_at) FROM events)"));

pub(super) async fn look_out(connection: &mut SqliteConnection) -> Result<Lookout, sqlx::Error> {
    let (keys, newest, oldest_writer, last): (bool, Option<i64>, Option<String>, Option<i64>) =
        sqlx::query_as(LOOK_OUT_AND_LAST.as_str()).fetch_one(connection).await?;
    // A file has no clock but this process's. What is stored while that is behind must not look old when it is right again.
    let now = Utc::now().timestamp_micros().max(last.unwrap_or(i64::MIN));
    Lookout::admitted(keys, newest, oldest_writer.as_deref(), now)
}

/// Who was erased, as of the look: read anew only where somebody was erased since this process knew.
pub(super) async fn erased(
    connection: &mut SqliteConnection,
    known: &KnownErased,
    lookout: Lookout,
) -> Result<Arc<ErasedPersons>, sqlx::Error> {
    if let Some(persons) = known.as_of(lookout.newest_erasure) {
        return Ok(persons);
    }
    let key: Option<Vec<u8>> = sqlx::query_scalar(SELECT_KEY).fetch_optional(&mut *connection).await?;
    let records: Vec<Record> = sqlx::query_as(SELECT_RECORDS).fetch_all(connection).await?;
    Ok(known.learn(ErasedPersons::new(key, records)))
}

/// The identities whose rows were removed.
pub(super) async fn removed<'a>(
    connection: &mut SqliteConnection,
    submission: &Submission<'a>,
    lookout: Lookout,
) -> Result<HashSet<Identity<'a>>, sqlx::Error> {
    if !lookout.keys {
        return Ok(HashSet::new());
    }
    let asked = Asked::new(submission.identities());
    let keys: Vec<&EventKey> = asked.keys().map(|(_, key)| key).collect();
    let mut found: Vec<(i16, Vec<u8>)> = Vec::new();
    for keys in keys.chunks(ROWS_PER_STATEMENT) {
        let mut statement = QueryBuilder::<Sqlite>::new("SELECT source, key FROM event_keys WHERE source = ");
        statement.push_bind(submission.source()).push(" AND key IN ");
        statement.push_tuples(keys, |mut tuple, key| {
            tuple.push_bind(key.as_bytes());
        });
        let query = statement.build_query_as().persistent(keys.len() == ROWS_PER_STATEMENT);
        found.extend(query.fetch_all(&mut *connection).await?);
    }
    Ok(asked.found(found))
}
