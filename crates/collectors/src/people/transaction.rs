//! One transaction on the tables of people, on either database.

mod postgres;
mod sqlite;

use std::time::Duration;

use sqlx::{Postgres, Sqlite, Transaction};
use tokio::time::{Instant, sleep};
use weir_database::people::{AttributeHashes, Block, PersonKey, Sets};

use super::{People, PeopleError};
use crate::store::{Pool, sqlite::BEGIN};

/// Whoever can't wait for the next turn waits at most so long for the lock.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks at the lock.
pub(super) const PAUSE: Duration = Duration::from_millis(20);

/// Until it is committed or dropped; under the lock, unless it only reads.
#[derive(Debug)]
pub(super) enum Session {
    Postgres(Transaction<'static, Postgres>),
    Sqlite(Transaction<'static, Sqlite>),
}

/// The same statements on either connection.
macro_rules! on_either {
    ($session:expr, $connection:ident => $done:expr) => {
        match $session {
            Session::Postgres(transaction) => {
                let $connection = &mut **transaction;
                $done
            }
            Session::Sqlite(transaction) => {
                let $connection = &mut **transaction;
                $done
            }
        }
    };
}
pub(super) use on_either;

/// A person as the dictionary has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) key: PersonKey,
    pub(super) number: u32,
    pub(super) marks: AttributeHashes,
}

/// A further number of a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Alias {
    pub(super) number: u32,
    pub(super) alias: u32,
    pub(super) marks: AttributeHashes,
}

/// A row of `people_columns`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StoredBlock {
    pub(super) block: i64,
    pub(super) filled: i64,
    pub(super) data: Vec<u8>,
}

/// Grain and start, µs since the Unix epoch.
pub(super) type Bucket = (i16, i64);

/// A row of `people_sets`.
#[derive(Clone, Debug, Default)]
pub(super) struct Bucketed {
    pub(super) sightings: i64,
    pub(super) sets: Sets,
}

impl People {
    /// Begins, where nobody else has the lock. All of the transaction sees one state of the store.
    pub(super) async fn begin(&self) -> Result<Option<Session>, PeopleError> {
        Ok(match &self.pool {
            Pool::Postgres(pool) => postgres::begin(pool).await?.map(Session::Postgres),
            Pool::Sqlite(pool) => Some(Session::Sqlite(pool.begin_with(BEGIN).await?)),
        })
    }

    /// One state of the store to read from, without the lock: nobody waits for it.
    pub(super) async fn begin_reading(&self) -> Result<Session, PeopleError> {
        Ok(match &self.pool {
            Pool::Postgres(pool) => Session::Postgres(pool.begin_with(postgres::BEGIN_READING).await?),
            Pool::Sqlite(pool) => Session::Sqlite(pool.begin_with("BEGIN DEFERRED").await?),
        })
    }

    /// Begins when the lock is free.
    pub(super) async fn begin_patiently(&self) -> Result<Session, PeopleError> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(session) = self.begin().await? {
                return Ok(session);
            }
            sleep(PAUSE).await;
        }
        Err(PeopleError::Busy)
    }
}

impl Session {
    pub(super) async fn commit(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Postgres(transaction) => transaction.commit().await,
            Self::Sqlite(transaction) => transaction.commit().await,
        }
    }

    /// Those of `keys` who have a number. `keys` are different.
    pub(super) async fn people(
        &mut self,
        source: i16,
        keys: &[PersonKey],
    ) -> Result<Vec<Known>, PeopleError> {
        let found = match self {
            Self::Postgres(transaction) => postgres::people(transaction, source, keys).await?,
            Self::Sqlite(transaction) => sqlite::people(transaction, source, keys).await?,
        };
        let known = |(key, number, marks): (Vec<u8>, i64, Vec<u8>)| {
            let marks = AttributeHashes::from_blob(&marks)?;
            Ok(Known { key: key_of(key)?, number: number_of(number)?, marks })
        };
        found.into_iter().map(known).collect()
    }

    /// The aliases of people by their own numbers.
    pub(super) async fn aliases(&mut self, source: i16, numbers: &[u32]) -> Result<Vec<Alias>, PeopleError> {
        if numbers.is_empty() {
            return Ok(Vec::new());
        }
        let found = match self {
            Self::Postgres(transaction) => postgres::aliases(transaction, source, numbers).await?,
            Self::Sqlite(transaction) => sqlite::aliases(transaction, source, numbers).await?,
        };
        let alias = |(number, alias, marks): (i64, i64, Vec<u8>)| {
            let marks = AttributeHashes::from_blob(&marks)?;
            Ok(Alias { number: number_of(number)?, alias: number_of(alias)?, marks })
        };
        found.into_iter().map(alias).collect()
    }

    pub(super) async fn add_people(&mut self, source: i16, people: &[Known]) -> Result<(), sqlx::Error> {
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

    /// Takes people out of the dictionary: their keys, and their aliases by their own numbers.
    pub(super) async fn drop_people(&mut self, source: i16, people: &[Known]) -> Result<(), sqlx::Error> {
        match self {
            _ if people.is_empty() => Ok(()),
            Self::Postgres(transaction) => postgres::drop_people(transaction, source, people).await,
            Self::Sqlite(transaction) => sqlite::drop_people(transaction, source, people).await,
        }
    }

    /// The last block of those from `first` to before `end`.
    pub(super) async fn last_block(
        &mut self,
        source: i16,
        first: i64,
        end: i64,
    ) -> Result<Option<StoredBlock>, sqlx::Error> {
        const LAST: &str = "SELECT block, filled, data FROM people_columns \
            WHERE source = $1 AND block >= $2 AND block < $3 ORDER BY block DESC LIMIT 1";
        let row: Option<(i64, i64, Vec<u8>)> = on_either!(self, connection => {
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
        on_either!(self, connection => {
            sqlx::query(WRITE).bind(source).bind(number).bind(filled).bind(data).execute(connection).await?;
        });
        Ok(())
    }

    /// In the order of `buckets`, empty where there is none yet.
    pub(super) async fn buckets(
        &mut self,
        source: i16,
        buckets: &[Bucket],
    ) -> Result<Vec<Bucketed>, PeopleError> {
        let mut found = match self {
            Self::Postgres(transaction) => postgres::buckets(transaction, source, buckets).await?,
            Self::Sqlite(transaction) => sqlite::buckets(transaction, source, buckets).await?,
        };
        let mut bucketed = |bucket: &Bucket| {
            found.remove(bucket).map_or_else(
                || Ok(Bucketed::default()),
                |(sightings, data)| Ok(Bucketed { sightings, sets: Sets::read(&data)? }),
            )
        };
        buckets.iter().map(&mut bucketed).collect()
    }

    pub(super) async fn write_buckets(
        &mut self,
        source: i16,
        buckets: &[(Bucket, Bucketed)],
    ) -> Result<(), sqlx::Error> {
        match self {
            _ if buckets.is_empty() => Ok(()),
            Self::Postgres(transaction) => postgres::write_buckets(transaction, source, buckets).await,
            Self::Sqlite(transaction) => sqlite::write_buckets(transaction, source, buckets).await,
        }
    }

    /// Since when the source's rows are complete, µs since the Unix epoch; the least there is where none was removed.
    pub(super) async fn horizon(&mut self, source: i16) -> Result<i64, sqlx::Error> {
        const HORIZON: &str = "SELECT complete_from FROM horizons WHERE source = $1";
        let horizon: Option<i64> = on_either!(self, connection => {
            sqlx::query_scalar(HORIZON).bind(source).fetch_optional(connection).await?
        });
        Ok(horizon.unwrap_or(i64::MIN))
    }
}

pub(super) fn key_of(key: Vec<u8>) -> Result<PersonKey, PeopleError> {
    key.try_into().map(PersonKey).map_err(|_| malformed("a key of people"))
}

pub(super) fn number_of(number: i64) -> Result<u32, PeopleError> {
    u32::try_from(number).map_err(|_| malformed("a number of people"))
}

fn malformed(what: &'static str) -> PeopleError {
    sqlx::Error::Decode(what.into()).into()
}
