//! Rebuilding: makes rankings from `campaign_rollups` where their sums differ from those of the rollups by source.
//!
//! This fills in sales from before there were rankings, and those that a previous build stores meanwhile.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    ops::Range,
    sync::PoisonError,
};

use futures::TryStreamExt as _;
use weir_database::{
    advisory_lock::AdvisoryLock,
    rankings::Sales,
    time_bucket::{DAY, Grain},
};
use weir_event::{EventType, Source};

use super::{
    BucketSums, RankedBucket, RankingError, Rankings, add_sales::each_waiting_sale, transaction::sales_of,
};
use crate::{
    job_transaction::{JobTransaction, with_connection},
    people::BucketKey,
    store::to_smallint,
};

/// Only these have campaigns.
const IN_ROLLUPS: &str = "SELECT bucket, CAST(SUM(transactions) AS BIGINT), CAST(SUM(amount_high) AS BIGINT), \
        CAST(SUM(amount_low) AS BIGINT) \
    FROM rollups WHERE grain = $1 AND bucket >= $2 AND bucket < $3 AND source = $4 AND event_type = $5 GROUP BY bucket";
const IN_RANKINGS: &str = "SELECT bucket, transactions, amount_high, amount_low FROM campaign_rankings \
    WHERE grain = $1 AND bucket >= $2 AND bucket < $3";
const CAMPAIGNS: &str = "SELECT campaign_id, CAST(SUM(transactions) AS BIGINT), CAST(SUM(amount_high) AS BIGINT), \
        CAST(SUM(amount_low) AS BIGINT) \
    FROM campaign_rollups WHERE grain = $1 AND bucket = $2 GROUP BY campaign_id";
/// A day of many millions of campaigns takes longer than other steps.
const WITHOUT_TIME_LIMIT: &str = "SET LOCAL statement_timeout = 0";

/// The most transactions of the rankings that one step makes, unless a single one has more.
const TRANSACTIONS_AT_ONCE: i64 = 20_000;
/// The most rankings that one step makes.
const RANKINGS_AT_ONCE: usize = 64;

/// The sums of buckets by start.
pub(super) type SumsByBucket = BTreeMap<i64, BucketSums>;

/// The sales of deltas in some buckets, by campaign.
pub(super) type WaitingSales = HashMap<BucketKey, HashMap<String, Sales>>;

impl Rankings {
    /// Makes some of the newest rankings whose sums differ, and returns how many; 0 also where another process is
    /// changing rankings.
    ///
    /// # Errors
    /// The database can't be written now. Nothing has changed then.
    pub async fn rebuild(&self) -> Result<u64, RankingError> {
        let Some(mut transaction) = JobTransaction::try_begin(&self.pool, AdvisoryLock::Rankings).await?
        else {
            return Ok(0);
        };
        let waiting = waiting_sums(&mut transaction).await?;
        let days = sums(&mut transaction, Grain::Day, i64::MIN..i64::MAX, &waiting).await?;
        for day in days.iter().rev().filter(|(_, (right, ranked))| right != ranked).map(|(day, _)| *day) {
            // The day comes last, so that a step that is interrupted is found again.
            for grain in Grain::ALL {
                let wrong = self.wrong(&mut transaction, grain, day, &waiting).await?;
                if !wrong.is_empty() {
                    self.write_anew(&mut transaction, grain, &wrong, &waiting).await?;
                    transaction.commit().await?;
                    return Ok(wrong.len() as u64);
                }
            }
        }
        Ok(0)
    }

    /// Makes the rankings of these buckets anew.
    ///
    /// # Errors
    /// The database can't be written now, or the lock is not free for too long. Nothing has changed then.
    pub(crate) async fn rebuild_buckets(&self, keys: &[BucketKey]) -> Result<(), RankingError> {
        if keys.is_empty() {
            return Ok(());
        }
        let transaction = JobTransaction::begin_when_free(&self.pool, AdvisoryLock::Rankings).await?;
        let mut transaction = transaction.ok_or(RankingError::Busy)?;
        let waiting = waiting_sales(&mut transaction, keys).await?;
        for key in keys {
            let bucket = from_rollups(&mut transaction, *key, waiting.get(key)).await?;
            transaction.write_rankings(&[*key], &[bucket]).await?;
        }
        Ok(transaction.commit().await?)
    }

    /// The newest buckets of a day whose sums differ, with the right ones: as many as one step makes.
    async fn wrong(
        &self,
        transaction: &mut JobTransaction,
        grain: Grain,
        day: i64,
        waiting: &HashMap<BucketKey, Sales>,
    ) -> Result<Vec<(i64, Sales)>, RankingError> {
        let sums = sums(transaction, grain, day..day + DAY, waiting).await?;
        let contradicted = self.contradicted.lock().unwrap_or_else(PoisonError::into_inner);
        let is_wrong = |start: i64, sums: BucketSums| {
            sums.0 != sums.1 && !contradicted.contains(&((grain.number(), start), sums))
        };
        let wrong = sums.iter().rev().filter(|(start, sums)| is_wrong(**start, **sums));
        let wrong = wrong.map(|(start, (right, _))| (*start, *right));
        let mut transactions = 0;
        let fits = |(place, (_, right)): &(usize, (i64, Sales))| {
            transactions += right.transactions;
            *place == 0 || (*place < RANKINGS_AT_ONCE && transactions <= TRANSACTIONS_AT_ONCE)
        };
        Ok(wrong.enumerate().take_while(fits).map(|(_, wrong)| wrong).collect())
    }

    async fn write_anew(
        &self,
        transaction: &mut JobTransaction,
        grain: Grain,
        wrong: &[(i64, Sales)],
        waiting: &HashMap<BucketKey, Sales>,
    ) -> Result<(), RankingError> {
        if let JobTransaction::Postgres(transaction) = transaction {
            sqlx::query(WITHOUT_TIME_LIMIT).execute(&mut **transaction).await?;
        }
        let keys: Vec<BucketKey> = wrong.iter().map(|(start, _)| (grain.number(), *start)).collect();
        let of_deltas = waiting_sales(transaction, &keys).await?;
        for (key, (_, right)) in keys.iter().zip(wrong) {
            let bucket = from_rollups(transaction, *key, of_deltas.get(key)).await?;
            let mut ranked = bucket.sales;
            ranked += waiting.get(key).copied().unwrap_or_default();
            if ranked != *right {
                let mut contradicted = self.contradicted.lock().unwrap_or_else(PoisonError::into_inner);
                contradicted.insert((*key, (*right, ranked)));
            }
            transaction.write_rankings(&[*key], &[bucket]).await?;
        }
        Ok(())
    }
}

/// The ranking of a bucket from its rollups, without the sales that are in deltas.
async fn from_rollups(
    transaction: &mut JobTransaction,
    key: BucketKey,
    waiting: Option<&HashMap<String, Sales>>,
) -> Result<RankedBucket, RankingError> {
    let mut bucket = RankedBucket::default();
    each_campaign(transaction, key, waiting, |campaign_id, sales| {
        bucket.sales += sales;
        bucket.ranking.set(campaign_id, sales);
    })
    .await?;
    Ok(bucket)
}

/// Calls `take` with each campaign of a bucket that has sales besides those in deltas.
pub(super) async fn each_campaign(
    transaction: &mut JobTransaction,
    (grain, start): BucketKey,
    waiting: Option<&HashMap<String, Sales>>,
    mut take: impl FnMut(&str, Sales),
) -> Result<(), RankingError> {
    let mut each = |(campaign_id, transactions, high, low): (String, i64, i64, i64)| {
        let mut sales = sales_of((transactions, high, low));
        if let Some(waiting) = waiting.and_then(|waiting| waiting.get(&campaign_id)) {
            sales -= *waiting;
        }
        if sales != Sales::default() {
            take(&campaign_id, sales);
        }
    };
    with_connection!(transaction, connection => {
        let mut campaigns = sqlx::query_as(CAMPAIGNS).bind(grain).bind(start).persistent(false).fetch(connection);
        while let Some(campaign) = campaigns.try_next().await? {
            each(campaign);
        }
    });
    Ok(())
}

/// The sums of deltas by bucket.
pub(super) async fn waiting_sums(
    transaction: &mut JobTransaction,
) -> Result<HashMap<BucketKey, Sales>, RankingError> {
    let mut sums: HashMap<BucketKey, Sales> = HashMap::new();
    let add = |key, _: &str, sales| *sums.entry(key).or_default() += sales;
    each_waiting_sale(transaction, &HashSet::new(), add).await?;
    Ok(sums)
}

/// The sales of deltas in these buckets, by campaign.
pub(super) async fn waiting_sales(
    transaction: &mut JobTransaction,
    keys: &[BucketKey],
) -> Result<WaitingSales, RankingError> {
    let mut waiting: WaitingSales = keys.iter().map(|key| (*key, HashMap::new())).collect();
    each_waiting_sale(transaction, &HashSet::new(), |key, campaign_id, sales| {
        if let Some(bucket) = waiting.get_mut(&key) {
            *bucket.entry(campaign_id.to_owned()).or_default() += sales;
        }
    })
    .await?;
    Ok(waiting)
}

/// The sums of the buckets of one grain in `span`.
pub(super) async fn sums(
    transaction: &mut JobTransaction,
    grain: Grain,
    span: Range<i64>,
    waiting: &HashMap<BucketKey, Sales>,
) -> Result<SumsByBucket, RankingError> {
    let (source, event_type) = (Source::Facebook.number(), EventType::CheckoutComplete.number());
    let (in_rollups, in_rankings): (Vec<BucketRow>, Vec<BucketRow>) = with_connection!(transaction, connection => {
        let rollups = sqlx::query_as(IN_ROLLUPS).bind(grain.number()).bind(span.start).bind(span.end);
        let rollups = rollups.bind(to_smallint(source)).bind(to_smallint(event_type));
        let rankings = sqlx::query_as(IN_RANKINGS).bind(grain.number()).bind(span.start).bind(span.end);
        (rollups.fetch_all(&mut *connection).await?, rankings.fetch_all(connection).await?)
    });
    let mut sums = SumsByBucket::new();
    for (bucket, transactions, high, low) in in_rollups {
        sums.entry(bucket).or_default().0 = sales_of((transactions, high, low));
    }
    for (bucket, transactions, high, low) in in_rankings {
        sums.entry(bucket).or_default().1 = sales_of((transactions, high, low));
    }
    for ((of_grain, bucket), sales) in waiting {
        if *of_grain == grain.number() && span.contains(bucket) {
            sums.entry(*bucket).or_default().1 += *sales;
        }
    }
    Ok(sums)
}

/// The start of a bucket, and its sums.
type BucketRow = (i64, i64, i64, i64);
