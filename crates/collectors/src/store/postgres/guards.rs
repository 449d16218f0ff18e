//! The right to store, what to look out for, who was erased, and the keys of events whose rows were removed.

use std::{
    collections::HashSet,
    sync::{Arc, LazyLock},
};

use sqlx::{PgConnection, Row as _};
use weir_database::clock::NOW_IN_POSTGRES;

use crate::store::{
    STORE_LOCK, Submission,
    erased::{ErasedPersons, KnownErased, Record, SELECT_KEY, SELECT_RECORDS},
    guards::{LOOK_OUT, Lookout},
    keys::{Asked, Identity},
};

/// One round trip. The second statement sees what was committed before the first one got the lock. In `BEGIN` the
/// lock would be no round trip either, but where it fails there the pool gets a connection back that is still in the
/// failed transaction.
static LOCK_AND_LOOK_OUT: LazyLock<String> = LazyLock::new(|| {
    format!("SELECT pg_advisory_xact_lock_shared({STORE_LOCK}); {LOOK_OUT}, {NOW_IN_POSTGRES}")
});

const REMOVED: &str = "SELECT source, key \
    FROM UNNEST($1::smallint[], $2::bytea[]) AS asked (source, key) JOIN event_keys USING (source, key)";

/// Waits while somebody removes rows or records an erasure, and keeps them waiting until the transaction ends.
pub(super) async fn look_out(connection: &mut PgConnection) -> Result<Lookout, sqlx::Error> {
    let rows = sqlx::raw_sql(LOCK_AND_LOOK_OUT.as_str()).fetch_all(connection).await?;
    let row = rows.last().ok_or(sqlx::Error::RowNotFound)?;
    Lookout::admitted(row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?)
}

/// Who was erased, as of the look: read anew only where somebody was erased since this process knew.
pub(super) async fn erased(
    connection: &mut PgConnection,
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
    connection: &mut PgConnection,
    submissions: &[&Submission<'a>],
    lookout: Lookout,
) -> Result<HashSet<Identity<'a>>, sqlx::Error> {
    if !lookout.keys {
        return Ok(HashSet::new());
    }
    let asked = Asked::new(submissions.iter().flat_map(|submission| submission.identities()));
    let (sources, keys): (Vec<i16>, Vec<&[u8]>) =
        asked.keys().map(|(source, key)| (*source, key.as_bytes())).unzip();
    let found: Vec<(i16, Vec<u8>)> = sqlx::query_as(REMOVED)
        .bind(sources)
        .bind(keys)
        // Planned each time: a plan that was made while the table was small would go on reading all of it.
        .persistent(false)
        .fetch_all(connection)
        .await?;
    Ok(asked.found(found))
}
