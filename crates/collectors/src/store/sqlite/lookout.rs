//! What to look out for, and the keys of events whose rows were removed.

use std::collections::HashSet;

use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use super::ROWS_PER_STATEMENT;
use crate::store::{
    Submission,
    keys::{Asked, EventKey, Identity},
    lookout::{LOOK_OUT, Lookout},
};

pub(super) async fn look_out(connection: &mut SqliteConnection) -> Result<Lookout, sqlx::Error> {
    let row: (bool, Option<i64>) = sqlx::query_as(LOOK_OUT).fetch_one(connection).await?;
    Ok(row.into())
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
