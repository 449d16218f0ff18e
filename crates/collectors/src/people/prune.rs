//! Pruning: deletes sets and sketches that end before the horizon, and people that no set contains any longer.

use roaring::RoaringBitmap;
use weir_database::{
    people::{AttributeHashes, BLOCK, PersonKey, SLOTS, Sets},
    time_bucket::{DAY, Grain},
};

use super::{
    People, PeopleError,
    transaction::{DictionaryEntry, JobTransaction, key_of, number_of, with_connection},
};

/// Deletes the buckets of one grain that begin before a time.
const DELETE_BUCKETS: [&str; 2] = [
    "DELETE FROM people_sets WHERE source = $1 AND grain = $2 AND bucket <= $3",
    "DELETE FROM people_sketches WHERE source = $1 AND grain = $2 AND bucket <= $3",
];
const DAYS_BEFORE: &str = "SELECT COUNT(*) FROM people_sets WHERE source = $1 AND grain = 3 AND bucket <= $2";
const DAYS_SINCE: &str = "SELECT data FROM people_sets WHERE source = $1 AND grain = 3 AND bucket > $2";
const PAGE: &str = "SELECT key, number FROM people WHERE source = $1 AND key > $2 ORDER BY key LIMIT 5000";
const BLOCKS: &str = "SELECT block FROM people_columns WHERE source = $1 ORDER BY block";
const DELETE_BLOCK: &str = "DELETE FROM people_columns WHERE source = $1 AND block = $2";

impl People {
    /// Deletes people, sets and sketches before the horizon, and returns the number of people. It reads all people once for
    /// each day that the horizon passes, some thousand at a time.
    ///
    /// # Errors
    /// The database can't be written now. Pruned people stay pruned, and the next call finds the rest.
    pub async fn prune(&self, source: i16) -> Result<u64, PeopleError> {
        let (mut pruned, mut after) = (0, Some(Vec::new()));
        while let Some(from) = after {
            let mut transaction = self.begin_when_free().await?;
            let horizon = transaction.horizon(source).await?;
            let ended = horizon.saturating_sub(DAY);
            let days: i64 = with_connection!(&mut transaction, connection => {
                sqlx::query_scalar(DAYS_BEFORE).bind(source).bind(ended).fetch_one(connection).await?
            });
            if days == 0 {
                delete_buckets(&mut transaction, source, horizon).await?;
                transaction.commit().await?;
                return Ok(pruned);
            }
            // Read again for each page: a person may have come back between two pages.
            let present_numbers = present_numbers(&mut transaction, source, ended).await?;
            let deleted;
            (deleted, after) = prune_page(&mut transaction, source, &from, &present_numbers).await?;
            pruned += deleted;
            if after.is_none() {
                delete_blocks(&mut transaction, source, &present_numbers).await?;
                delete_buckets(&mut transaction, source, horizon).await?;
            }
            transaction.commit().await?;
        }
        Ok(pruned)
    }
}

/// All numbers in days that end after `ended` plus a day.
async fn present_numbers(
    transaction: &mut JobTransaction,
    source: i16,
    ended: i64,
) -> Result<RoaringBitmap, PeopleError> {
    let days: Vec<Vec<u8>> = with_connection!(&mut *transaction, connection => {
        sqlx::query_scalar(DAYS_SINCE).bind(source).bind(ended).fetch_all(connection).await?
    });
    let mut all = Sets::default();
    for day in days {
        all.unite(&Sets::read(&day)?);
    }
    Ok((0..SLOTS).fold(RoaringBitmap::new(), |present_numbers, slot| present_numbers | all.slot(slot)))
}

/// Prunes one page of people after a key. Returns how many were deleted, and where the next page begins.
async fn prune_page(
    transaction: &mut JobTransaction,
    source: i16,
    after: &[u8],
    present_numbers: &RoaringBitmap,
) -> Result<(u64, Option<Vec<u8>>), PeopleError> {
    let page: Vec<(Vec<u8>, i64)> = with_connection!(&mut *transaction, connection => {
        sqlx::query_as(PAGE).bind(source).bind(after).fetch_all(connection).await?
    });
    let last = page.last().map(|(key, _)| key.clone());
    let mut absent = Vec::new();
    for (key, number) in page {
        let (key, number): (PersonKey, u32) = (key_of(key)?, number_of(number)?);
        if !present_numbers.contains(number) {
            absent.push(DictionaryEntry { key, number, hashes: AttributeHashes::default() });
        }
    }
    transaction.drop_people(source, &absent).await?;
    Ok((absent.len() as u64, last))
}

/// Deletes blocks whose numbers no person has. The last block of each partition stays, because new numbers follow it.
async fn delete_blocks(
    transaction: &mut JobTransaction,
    source: i16,
    present_numbers: &RoaringBitmap,
) -> Result<(), PeopleError> {
    let blocks: Vec<i64> = with_connection!(&mut *transaction, connection => {
        sqlx::query_scalar(BLOCKS).bind(source).fetch_all(connection).await?
    });
    let partition = |block: i64| number_of(block * i64::from(BLOCK)).map(|number| number >> 28);
    for (place, block) in blocks.iter().enumerate() {
        let first = number_of(block * i64::from(BLOCK))?;
        let is_last = match blocks.get(place + 1) {
            Some(next) => partition(*next)? != partition(*block)?,
            None => true,
        };
        if !is_last && present_numbers.range_cardinality(first..=first + (BLOCK - 1)) == 0 {
            with_connection!(&mut *transaction, connection => {
                sqlx::query(DELETE_BLOCK).bind(source).bind(block).execute(connection).await?;
            });
        }
    }
    Ok(())
}

/// Deletes sets that end at or before the horizon.
async fn delete_buckets(
    transaction: &mut JobTransaction,
    source: i16,
    horizon: i64,
) -> Result<(), sqlx::Error> {
    for grain in Grain::ALL {
        for delete in DELETE_BUCKETS {
            with_connection!(&mut *transaction, connection => {
                sqlx::query(delete)
                    .bind(source)
                    .bind(grain.number())
                    .bind(horizon.saturating_sub(grain.width()))
                    .execute(connection)
                    .await?;
            });
        }
    }
    Ok(())
}
