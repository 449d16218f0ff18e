//! The tables of people in a transaction, on either database.

mod postgres;
mod sqlite;

use weir_database::{
    advisory_lock::AdvisoryLock,
    people::{AttributeHashes, Block, PersonKey, Sets, SketchNames, SketchUnion, StoredSketch},
};

use super::{Derived, People, PeopleError};
pub(super) use crate::job_transaction::{JobTransaction, LOCK_POLL_INTERVAL, LOCK_TIMEOUT, with_connection};

/// The most stored bytes of sets or sketches that are read at once; a single one may have more. In memory they take
/// several times as much.
const BYTES_AT_ONCE: i64 = 2 << 20;

/// A person's entry in the dictionary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DictionaryEntry {
    pub(super) key: PersonKey,
    pub(super) number: u32,
    pub(super) hashes: AttributeHashes,
}

/// A further number of a person, for other values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Alias {
    pub(super) number: u32,
    pub(super) alias: u32,
    pub(super) hashes: AttributeHashes,
}

/// A row of `people_columns`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StoredBlock {
    pub(super) block: i64,
    pub(super) filled: i64,
    pub(super) data: Vec<u8>,
}

/// Grain and start, µs since the Unix epoch.
pub(crate) type BucketKey = (i16, i64);

/// A row of `people_sets`.
#[derive(Clone, Debug, Default)]
pub(super) struct PeopleBucket {
    pub(super) observations: i64,
    pub(super) sets: Sets,
}

/// A row of `people_sketches`, or additions to it.
#[derive(Debug, Default)]
pub(super) struct SketchBucket {
    pub(super) observations: i64,
    pub(super) users: SketchUnion,
    pub(super) names: SketchNames,
}

/// The columns of a row of `people_sketches`.
#[derive(Clone, Debug)]
struct SketchRow {
    grain: i16,
    start: i64,
    observations: i64,
    users: i64,
    data: Vec<u8>,
}

impl People {
    /// Begins a transaction, where no other one holds the lock. All of its statements see one state of the database.
    pub(super) async fn try_begin(&self) -> Result<Option<JobTransaction>, PeopleError> {
        Ok(JobTransaction::try_begin(&self.pool, AdvisoryLock::People).await?)
    }

    /// Begins a transaction that sees one state of the database and takes no lock.
    pub(super) async fn begin_read_only(&self) -> Result<JobTransaction, PeopleError> {
        Ok(JobTransaction::begin_read_only(&self.pool).await?)
    }

    /// Begins a transaction as soon as the lock is free.
    pub(super) async fn begin_when_free(&self) -> Result<JobTransaction, PeopleError> {
        let transaction = JobTransaction::begin_when_free(&self.pool, AdvisoryLock::People).await?;
        transaction.ok_or(PeopleError::Busy)
    }
}

impl JobTransaction {
    /// The entries of `keys` that are in the dictionary. `keys` are different.
    pub(super) async fn people(
        &mut self,
        source: i16,
        keys: &[PersonKey],
    ) -> Result<Vec<DictionaryEntry>, PeopleError> {
        let found = match self {
            Self::Postgres(transaction) => postgres::people(transaction, source, keys).await?,
            Self::Sqlite(transaction) => sqlite::people(transaction, source, keys).await?,
        };
        let known = |(key, number, hashes): (Vec<u8>, i64, Vec<u8>)| {
            let hashes = AttributeHashes::from_blob(&hashes)?;
            Ok(DictionaryEntry { key: key_of(key)?, number: number_of(number)?, hashes })
        };
        found.into_iter().map(known).collect()
    }

    /// The aliases of people, by the people's own numbers.
    pub(super) async fn aliases(&mut self, source: i16, numbers: &[u32]) -> Result<Vec<Alias>, PeopleError> {
        if numbers.is_empty() {
            return Ok(Vec::new());
        }
        let found = match self {
            Self::Postgres(transaction) => postgres::aliases(transaction, source, numbers).await?,
            Self::Sqlite(transaction) => sqlite::aliases(transaction, source, numbers).await?,
        };
        let alias = |(number, alias, hashes): (i64, i64, Vec<u8>)| {
            let hashes = AttributeHashes::from_blob(&hashes)?;
            Ok(Alias { number: number_of(number)?, alias: number_of(alias)?, hashes })
        };
        found.into_iter().map(alias).collect()
    }

    pub(super) async fn add_people(
        &mut self,
        source: i16,
        people: &[DictionaryEntry],
    ) -> Result<(), sqlx::Error> {
        match self {
            _ if people.is_empty() => Ok(()),
            Self::Postgres(transaction) => postgres::add_people(transaction, source, people).await,
            Self::Sqlite(transaction) => sqlite::add_people(transaction, source, people).await,
        }
    }

    pub(super) async fn add_aliases(&mut self, source: i16, aliases: &[Alias]) -> Result<(), sqlx::Error> {
        match self {
            _ if aliases.is_empty() => Ok(()),
            Self::Postgres(transaction) => postgres::add_aliases(transaction, source, aliases).await,
            Self::Sqlite(transaction) => sqlite::add_aliases(transaction, source, aliases).await,
        }
    }

    /// Deletes people from the dictionary: their keys, and their aliases by their own numbers.
    pub(super) async fn drop_people(
        &mut self,
        source: i16,
        people: &[DictionaryEntry],
    ) -> Result<(), sqlx::Error> {
        match self {
            _ if people.is_empty() => Ok(()),
            Self::Postgres(transaction) => postgres::drop_people(transaction, source, people).await,
            Self::Sqlite(transaction) => sqlite::drop_people(transaction, source, people).await,
        }
    }

    /// The last block from `first` to before `end`.
    pub(super) async fn last_block(
        &mut self,
        source: i16,
        first: i64,
        end: i64,
    ) -> Result<Option<StoredBlock>, sqlx::Error> {
        const LAST: &str = "SELECT block, filled, data FROM people_columns \
            WHERE source = $1 AND block >= $2 AND block < $3 ORDER BY block DESC LIMIT 1";
        let row: Option<(i64, i64, Vec<u8>)> = with_connection!(self, connection => {
            sqlx::query_as(LAST).bind(source).bind(first).bind(end).fetch_optional(connection).await?
        });
        Ok(row.map(|(block, filled, data)| StoredBlock { block, filled, data }))
    }

    pub(super) async fn block(
        &mut self,
        source: i16,
        block: i64,
    ) -> Result<Option<StoredBlock>, sqlx::Error> {
        self.last_block(source, block, block + 1).await
    }

    pub(super) async fn write_block(
        &mut self,
        source: i16,
        number: i64,
        block: &Block<'_>,
    ) -> Result<(), sqlx::Error> {
        const WRITE: &str = "INSERT INTO people_columns (source, block, filled, data) VALUES ($1, $2, $3, $4) \
            ON CONFLICT (source, block) DO UPDATE SET filled = excluded.filled, data = excluded.data";
        let (filled, data) = (block.0.len() as i64, block.to_blob());
        with_connection!(self, connection => {
            sqlx::query(WRITE).bind(source).bind(number).bind(filled).bind(data).execute(connection).await?;
        });
        Ok(())
    }

    /// Splits buckets into parts, in their order, each to be read and written by itself: events of many days change
    /// thousands of buckets, with up to 250 KB each.
    pub(super) async fn parts<'b>(
        &mut self,
        derived: Derived,
        source: i16,
        buckets: &'b [BucketKey],
    ) -> Result<Vec<&'b [BucketKey]>, sqlx::Error> {
        let sizes = match self {
            Self::Postgres(transaction) => postgres::sizes(transaction, derived, source, buckets).await?,
            Self::Sqlite(transaction) => sqlite::sizes(transaction, derived, source, buckets).await?,
        };
        let size = |bucket: &BucketKey| sizes.get(bucket).copied().unwrap_or(0);
        Ok(parts_of(buckets, size, BYTES_AT_ONCE).collect())
    }

    /// In the order of `buckets`; an empty one where the table has none yet.
    pub(super) async fn buckets(
        &mut self,
        source: i16,
        buckets: &[BucketKey],
    ) -> Result<Vec<PeopleBucket>, PeopleError> {
        let mut found = match self {
            Self::Postgres(transaction) => {
                postgres::blobs(transaction, Derived::Sets, source, buckets).await?
            }
            Self::Sqlite(transaction) => sqlite::blobs(transaction, Derived::Sets, source, buckets).await?,
        };
        let mut bucket = |key: &BucketKey| {
            found.remove(key).map_or_else(
                || Ok(PeopleBucket::default()),
                |(observations, data)| Ok(PeopleBucket { observations, sets: Sets::read(&data)? }),
            )
        };
        buckets.iter().map(&mut bucket).collect()
    }

    pub(super) async fn write_buckets(
        &mut self,
        source: i16,
        buckets: &[(BucketKey, PeopleBucket)],
    ) -> Result<(), sqlx::Error> {
        match self {
            _ if buckets.is_empty() => Ok(()),
            Self::Postgres(transaction) => postgres::write_buckets(transaction, source, buckets).await,
            Self::Sqlite(transaction) => sqlite::write_buckets(transaction, source, buckets).await,
        }
    }

    /// In the order of `buckets`; an empty one where the table has none yet.
    pub(super) async fn sketches(
        &mut self,
        source: i16,
        buckets: &[BucketKey],
    ) -> Result<Vec<SketchBucket>, PeopleError> {
        let found = match self {
            Self::Postgres(transaction) => {
                postgres::blobs(transaction, Derived::Sketches, source, buckets).await?
            }
            Self::Sqlite(transaction) => {
                sqlite::blobs(transaction, Derived::Sketches, source, buckets).await?
            }
        };
        let bucket = |key: &BucketKey| {
            let mut bucket = SketchBucket::default();
            if let Some((observations, data)) = found.get(key) {
                let stored = StoredSketch::read(data)?;
                bucket.observations = *observations;
                bucket.users.unite(&stored.sketch);
                stored.names_into(&mut bucket.names)?;
            }
            Ok(bucket)
        };
        buckets.iter().map(bucket).collect()
    }

    pub(super) async fn write_sketches(
        &mut self,
        source: i16,
        buckets: impl Iterator<Item = (BucketKey, SketchBucket)>,
    ) -> Result<(), sqlx::Error> {
        let row = |((grain, start), bucket): (BucketKey, SketchBucket)| {
            let sketch = bucket.users.finish();
            let users = sketch.users().round() as i64;
            SketchRow {
                grain,
                start,
                observations: bucket.observations,
                users,
                data: bucket.names.to_blob(&sketch),
            }
        };
        let rows: Vec<SketchRow> = buckets.map(row).collect();
        match self {
            _ if rows.is_empty() => Ok(()),
            Self::Postgres(transaction) => postgres::write_sketches(transaction, source, &rows).await,
            Self::Sqlite(transaction) => sqlite::write_sketches(transaction, source, &rows).await,
        }
    }

    /// The time from which on the source's rows are complete, µs since the Unix epoch; the least time where no row
    /// was removed.
    pub(super) async fn horizon(&mut self, source: i16) -> Result<i64, sqlx::Error> {
        const HORIZON: &str = "SELECT complete_from FROM horizons WHERE source = $1";
        let horizon: Option<i64> = with_connection!(self, connection => {
            sqlx::query_scalar(HORIZON).bind(source).fetch_optional(connection).await?
        });
        Ok(horizon.unwrap_or(i64::MIN))
    }
}

/// Splits items into parts, in their order, each with as many as have `most` together, and at least one.
pub(super) fn parts_of<T>(items: &[T], size: impl Fn(&T) -> i64, most: i64) -> impl Iterator<Item = &[T]> {
    let mut sum = items.first().map_or(0, &size);
    items.chunk_by(move |_, item| {
        sum += size(item);
        let fits = sum <= most;
        if !fits {
            sum = size(item);
        }
        fits
    })
}

pub(super) fn key_of(key: Vec<u8>) -> Result<PersonKey, PeopleError> {
    key.try_into().map(PersonKey).map_err(|_| malformed("a key of people"))
}

pub(super) fn number_of(number: i64) -> Result<u32, PeopleError> {
    u32::try_from(number).map_err(|_| malformed("a number of people"))
}

fn malformed(part: &'static str) -> PeopleError {
    sqlx::Error::Decode(part.into()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_have_as_many_items_as_fit_and_at_least_one() {
        let parts = |sizes: &[i64]| parts_of(sizes, |size| *size, 8).map(<[i64]>::to_vec).collect::<Vec<_>>();
        assert_eq!(parts(&[4, 4, 30, 0, 1, 7, 1]), [vec![4, 4], vec![30], vec![0, 1, 7], vec![1]]);
        assert!(parts(&[]).is_empty());
    }
}
