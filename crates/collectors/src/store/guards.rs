//! Guards of a storing transaction: the schema's writers, erased persons and removed rows.
//!
//! A transaction reads them first. Usually no person was erased since the last look, and no row was removed ever.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, LazyLock},
};

use chrono::Utc;
use sqlx::{PgConnection, QueryBuilder, Row as _, Sqlite, SqliteConnection};
use weir_database::{advisory_lock::AdvisoryLock, check_writer, clock::NOW_IN_POSTGRES, event_key::EventKey};

use super::{
    erased::{ErasedCache, ErasedPersons, ErasureRecord, SELECT_KEY, SELECT_RECORDS},
    limits::ROWS_PER_STATEMENT,
    row::EventIdentity,
    submission::Submission,
};

/// Two lookups at the end of an index and one of a row. `EXISTS` would walk past all the keys that expired lately.
const SELECT_ERASURE_AND_WRITER: &str =
    "(SELECT MAX(recorded_at) FROM erasures), (SELECT migration FROM oldest_writer WHERE number = 1)";

/// The lock and the guards in one round trip. The second statement sees what was committed before the first one got the
/// lock. In `BEGIN` the lock would take no round trip either. But where it failed there, the pool would get a
/// connection back that is still in the failed transaction. Keys of later segments are found as [`ClosedSegments`] says.
///
/// [`ClosedSegments`]: super::postgres::ClosedSegments
static LOCK_AND_SELECT: LazyLock<String> = LazyLock::new(|| {
    format!(
        "{}; SELECT (SELECT MAX(arrived_at) FROM event_keys WHERE segment = 0) IS NOT NULL, \
            {SELECT_ERASURE_AND_WRITER}, {NOW_IN_POSTGRES}, MAX(number), MAX(version) FROM event_segments",
        AdvisoryLock::Store.share_transaction_sql()
    )
});

/// The guards, and the time at which the newest row was stored.
static SELECT_IN_SQLITE: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT (SELECT MAX(arrived_at) FROM event_keys) IS NOT NULL, {SELECT_ERASURE_AND_WRITER}, \
            (SELECT MAX(stored_at) FROM events)"
    )
});

const REMOVED: &str = "SELECT source, key \
    FROM UNNEST($1::smallint[], $2::bytea[]) AS asked (source, key) JOIN event_keys USING (source, key) \
    WHERE segment = 0";

/// The guards at the beginning of a transaction, and so until its end: a transaction that removes rows or records an
/// erasure waits for storing ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Guards {
    /// Whether rows were removed, so that an event may be known by its key alone.
    has_removed_rows: bool,
    /// The newest record of an erasure, µs since the Unix epoch.
    newest_erasure: Option<i64>,
    /// The time by the database's clock, µs since the Unix epoch. The age of stored rows counts from it.
    pub(super) now: i64,
    pub(super) segments: SegmentGuard,
}

/// PostgreSQL: the segments of events. No segment opens, closes or is removed before the transaction ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct SegmentGuard {
    /// The segment that new rows go into.
    pub(super) open: i32,
    /// Grows with every change of a segment or of its filters.
    pub(super) version: i64,
}

impl Guards {
    /// Takes the store's lock, and so waits while a transaction removes rows or records an erasure.
    ///
    /// # Errors
    /// The schema admits newer builds alone, or the database can't be read.
    pub(super) async fn in_postgres(connection: &mut PgConnection) -> Result<Self, sqlx::Error> {
        let rows = sqlx::raw_sql(LOCK_AND_SELECT.as_str()).fetch_all(connection).await?;
        let row = rows.last().ok_or(sqlx::Error::RowNotFound)?;
        let segments = SegmentGuard { open: row.try_get(4)?, version: row.try_get(5)? };
        let guards = Self::checked(row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?)?;
        Ok(Self { segments, ..guards })
    }

    /// # Errors
    /// The schema admits newer builds alone, or the database can't be read.
    pub(super) async fn in_sqlite(connection: &mut SqliteConnection) -> Result<Self, sqlx::Error> {
        let (has_removed_rows, newest_erasure, oldest_writer, last): (
            bool,
            Option<i64>,
            Option<String>,
            Option<i64>,
        ) = sqlx::query_as(SELECT_IN_SQLITE.as_str()).fetch_one(connection).await?;
        // A file has no clock but this process's. Rows that are stored while that clock is behind must not look old
        // once it is right again.
        let now = Utc::now().timestamp_micros().max(last.unwrap_or(i64::MIN));
        Self::checked(has_removed_rows, newest_erasure, oldest_writer.as_deref(), now)
    }

    fn checked(
        has_removed_rows: bool,
        newest_erasure: Option<i64>,
        oldest_writer: Option<&str>,
        now: i64,
    ) -> Result<Self, sqlx::Error> {
        // Only an error of the driver can end the transaction; `StoreError` recognises this one.
        check_writer(oldest_writer).map_err(|refused| sqlx::Error::Configuration(refused.into()))?;
        Ok(Self { has_removed_rows, newest_erasure, now, segments: SegmentGuard::default() })
    }

    /// The erased persons, read again only where an erasure was recorded since the cache was filled.
    pub(super) async fn erased_in_postgres(
        self,
        connection: &mut PgConnection,
        cache: &ErasedCache,
    ) -> Result<Arc<ErasedPersons>, sqlx::Error> {
        if let Some(persons) = cache.as_of(self.newest_erasure) {
            return Ok(persons);
        }
        let key: Option<Vec<u8>> = sqlx::query_scalar(SELECT_KEY).fetch_optional(&mut *connection).await?;
        let records: Vec<ErasureRecord> = sqlx::query_as(SELECT_RECORDS).fetch_all(connection).await?;
        Ok(cache.replace(ErasedPersons::new(key, records)))
    }

    /// The same in SQLite.
    pub(super) async fn erased_in_sqlite(
        self,
        connection: &mut SqliteConnection,
        cache: &ErasedCache,
    ) -> Result<Arc<ErasedPersons>, sqlx::Error> {
        if let Some(persons) = cache.as_of(self.newest_erasure) {
            return Ok(persons);
        }
        let key: Option<Vec<u8>> = sqlx::query_scalar(SELECT_KEY).fetch_optional(&mut *connection).await?;
        let records: Vec<ErasureRecord> = sqlx::query_as(SELECT_RECORDS).fetch_all(connection).await?;
        Ok(cache.replace(ErasedPersons::new(key, records)))
    }

    /// The identities of submissions whose rows were removed from segment 0.
    pub(super) async fn removed_in_postgres<'a>(
        self,
        connection: &mut PgConnection,
        submissions: &[&Submission<'a>],
    ) -> Result<HashSet<EventIdentity<'a>>, sqlx::Error> {
        if !self.has_removed_rows {
            return Ok(HashSet::new());
        }
        let lookup = KeyLookup::new(submissions.iter().flat_map(|submission| submission.identities()));
        let (sources, keys): (Vec<i16>, Vec<&[u8]>) =
            lookup.keys().map(|(source, key)| (*source, key.as_bytes())).unzip();
        let removed: Vec<(i16, Vec<u8>)> = sqlx::query_as(REMOVED)
            .bind(sources)
            .bind(keys)
            // Planned each time: a plan that was made while the table was small would go on reading all of it.
            .persistent(false)
            .fetch_all(connection)
            .await?;
        Ok(lookup.identities(removed))
    }

    /// The identities of a submission whose rows were removed.
    pub(super) async fn removed_in_sqlite<'a>(
        self,
        connection: &mut SqliteConnection,
        submission: &Submission<'a>,
    ) -> Result<HashSet<EventIdentity<'a>>, sqlx::Error> {
        if !self.has_removed_rows {
            return Ok(HashSet::new());
        }
        let lookup = KeyLookup::new(submission.identities());
        let keys: Vec<&EventKey> = lookup.keys().map(|(_, key)| key).collect();
        let mut removed: Vec<(i16, Vec<u8>)> = Vec::new();
        for keys in keys.chunks(ROWS_PER_STATEMENT) {
            let mut statement =
                QueryBuilder::<Sqlite>::new("SELECT source, key FROM event_keys WHERE source = ");
            statement.push_bind(submission.source()).push(" AND key IN ");
            statement.push_tuples(keys, |mut tuple, key| {
                tuple.push_bind(key.as_bytes());
            });
            let query = statement.build_query_as().persistent(keys.len() == ROWS_PER_STATEMENT);
            removed.extend(query.fetch_all(&mut *connection).await?);
        }
        Ok(lookup.identities(removed))
    }
}

/// Identities, to be looked up by their keys.
#[derive(Debug)]
struct KeyLookup<'a>(HashMap<(i16, EventKey), EventIdentity<'a>>);

impl<'a> KeyLookup<'a> {
    fn new(identities: impl Iterator<Item = EventIdentity<'a>>) -> Self {
        Self(identities.map(|(source, id)| ((source, EventKey::of(id)), (source, id))).collect())
    }

    fn keys(&self) -> impl Iterator<Item = &(i16, EventKey)> {
        self.0.keys()
    }

    /// The identities of the keys that the database has.
    fn identities(&self, keys: impl IntoIterator<Item = (i16, Vec<u8>)>) -> HashSet<EventIdentity<'a>> {
        let identity = |(source, key): (i16, Vec<u8>)| {
            // No event has a key of another length.
            self.0.get(&(source, EventKey(key.try_into().ok()?))).copied()
        };
        keys.into_iter().filter_map(identity).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lookup_returns_identities_by_source_and_id() {
        let lookup = KeyLookup::new([(1, "a"), (2, "a"), (1, "b")].into_iter());
        let row = |source, id| (source, EventKey::of(id).as_bytes().to_vec());
        let found = lookup.identities([row(2, "a"), row(1, "b"), row(2, "b")]);
        assert_eq!(found, HashSet::from([(2, "a"), (1, "b")]));
    }
}
