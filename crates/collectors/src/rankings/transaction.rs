//! The rankings and the sums of campaigns in a transaction, on either database.

mod postgres;
mod sqlite;

use std::collections::HashMap;

use tracing::warn;

use weir_database::{
    rankings::{Ranking, Sales},
    split_sum::SplitSum,
};

use super::{RankedBucket, RankingError};
use crate::{job_transaction::JobTransaction, people::BucketKey};

/// Transactions, and the halves of the sum of their amounts.
pub(super) type SalesRow = (i64, i64, i64);

/// The columns of a row of `campaign_rankings`.
#[derive(Debug)]
struct RankingRow {
    key: BucketKey,
    transactions: i64,
    amount: SplitSum,
    data: Vec<u8>,
}

impl JobTransaction {
    /// In the order of `keys`; an empty one where the table has none yet, or one that can't be read: its sums then differ
    /// from those of the rollups, and it is made anew.
    pub(super) async fn rankings(&mut self, keys: &[BucketKey]) -> Result<Vec<RankedBucket>, sqlx::Error> {
        let mut found: HashMap<BucketKey, (SalesRow, Vec<u8>)> = match self {
            Self::Postgres(transaction) => postgres::rankings(transaction, keys).await?,
            Self::Sqlite(transaction) => sqlite::rankings(transaction, keys).await?,
        };
        let mut bucket = |key: &BucketKey| {
            let (sales, data) = found.remove(key)?;
            let ranking = Ranking::read(&data);
            let ranking =
                ranking.inspect_err(|error| warn!(%error, grain = key.0, bucket = key.1, "left out"));
            Some(RankedBucket { sales: sales_of(sales), ranking: ranking.ok()? })
        };
        Ok(keys.iter().map(|key| bucket(key).unwrap_or_default()).collect())
    }

    pub(super) async fn write_rankings(
        &mut self,
        keys: &[BucketKey],
        buckets: &[RankedBucket],
    ) -> Result<(), RankingError> {
        let row = |(key, bucket): (&BucketKey, &RankedBucket)| {
            let RankedBucket { sales, ranking } = bucket;
            let amount = SplitSum::of_total(sales.amount)
                .ok_or_else(|| sqlx::Error::Encode("the sum of a bucket is too large".into()))?;
            Ok(RankingRow { key: *key, transactions: sales.transactions, amount, data: ranking.to_blob() })
        };
        let rows = keys.iter().zip(buckets).map(row).collect::<Result<Vec<_>, RankingError>>()?;
        match self {
            Self::Postgres(transaction) => postgres::write_rankings(transaction, &rows).await?,
            Self::Sqlite(transaction) => sqlite::write_rankings(transaction, &rows).await?,
        }
        Ok(())
    }

    /// The sums of these campaigns in `campaign_rollups`, in the order of `campaigns`.
    pub(super) async fn written_sales(
        &mut self,
        campaigns: &[(BucketKey, &str)],
    ) -> Result<Vec<Sales>, sqlx::Error> {
        let found = match self {
            Self::Postgres(transaction) => postgres::written_sales(transaction, campaigns).await?,
            Self::Sqlite(transaction) => sqlite::written_sales(transaction, campaigns).await?,
        };
        Ok(found.into_iter().map(sales_of).collect())
    }
}

pub(super) fn sales_of((transactions, high, low): SalesRow) -> Sales {
    Sales { transactions, amount: SplitSum { high, low }.total() }
}
