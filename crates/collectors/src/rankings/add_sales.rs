//! Adding: moves the sales of deltas into the rankings, and deletes the deltas in the same transaction.

use std::collections::{BTreeMap, HashMap, HashSet};

use tracing::warn;
use weir_database::{
    advisory_lock::AdvisoryLock,
    rankings::{CampaignSales, Sales, SalesDelta},
    time_bucket::{Grain, MINUTE},
};

use super::{RankedBucket, RankingError, Rankings};
use crate::{
    job_transaction::{JobTransaction, with_connection},
    people::BucketKey,
};

/// The oldest deltas, among which one step chooses.
const OLDEST_DELTAS: &str = "SELECT id, transactions FROM campaign_deltas ORDER BY id LIMIT 512";
const DELTA_IDS: &str = "SELECT id FROM campaign_deltas";
const DELTA_DATA: &str = "SELECT data FROM campaign_deltas WHERE id = $1";
const DELETE_DELTA: &str = "DELETE FROM campaign_deltas WHERE id = $1";

/// The most transactions that one step adds, but at least one delta. Storing on SQLite waits for a step. A step writes
/// every ranking that it changes, so that a larger one costs less for each transaction.
const TRANSACTIONS_AT_ONCE: i64 = 16_384;
/// The rankings that are in memory at once. One has at most 4,096 campaigns.
const RANKINGS_AT_ONCE: usize = 32;

/// The campaigns that one statement looks up.
const LOOK_UPS_AT_ONCE: usize = 2_048;

/// The sales of campaigns by bucket.
type BucketSales<'a> = BTreeMap<BucketKey, HashMap<&'a str, Sales>>;

impl Rankings {
    /// Adds the sales of the oldest deltas to the rankings. Returns the number of transactions; 0 where there was none,
    /// or where another process is doing it.
    ///
    /// # Errors
    /// The database can't be written now. Nothing has changed then.
    pub async fn add_sales(&self) -> Result<u64, RankingError> {
        let Some(mut transaction) = JobTransaction::try_begin(&self.pool, AdvisoryLock::Rankings).await?
        else {
            return Ok(0);
        };
        let mut taken = Vec::new();
        let mut transactions = 0;
        for (id, of_delta) in oldest_deltas(&mut transaction).await? {
            if !taken.is_empty() && transactions + of_delta > TRANSACTIONS_AT_ONCE {
                break;
            }
            transactions += of_delta;
            taken.push((id, delta(&mut transaction, id).await?));
        }
        add(&mut transaction, &taken).await?;
        for (id, _) in taken {
            with_connection!(&mut transaction, connection => {
                sqlx::query(DELETE_DELTA).bind(id).execute(connection).await?;
            });
        }
        transaction.commit().await?;
        Ok(transactions.unsigned_abs())
    }
}

/// Adds the sales of deltas, given with their ids, to the rankings of their buckets.
async fn add(transaction: &mut JobTransaction, taken: &[(i64, Vec<u8>)]) -> Result<(), RankingError> {
    let ids: HashSet<i64> = taken.iter().map(|(id, _)| *id).collect();
    let mut most = HashMap::new();
    // Days first: a campaign sold no more in an hour than in its day.
    for grain in Grain::ALL.into_iter().rev() {
        let sales = by_bucket(taken, grain);
        let keys: Vec<BucketKey> = sales.keys().copied().collect();
        let mut step = GrainStep { transaction, sales, taken: &ids, left: None, most: &mut most };
        for keys in keys.chunks(RANKINGS_AT_ONCE) {
            step.add_to(keys).await?;
        }
    }
    Ok(())
}

/// The part of a step that adds to the buckets of one grain.
struct GrainStep<'s, 'a> {
    transaction: &'s mut JobTransaction,
    sales: BucketSales<'a>,
    /// The ids of the deltas of `sales`.
    taken: &'s HashSet<i64>,
    /// The sales of other deltas, read where they are needed: most rankings are complete.
    left: Option<BucketSales<'a>>,
    /// The revenue of campaigns in the days and hours that were looked up.
    most: &'s mut HashMap<(BucketKey, &'a str), i128>,
}

impl<'a> GrainStep<'_, 'a> {
    async fn add_to(&mut self, keys: &[BucketKey]) -> Result<(), RankingError> {
        let mut buckets = self.transaction.rankings(keys).await?;
        let mut unknown: Vec<(BucketKey, &'a str)> = Vec::new();
        for (key, bucket) in keys.iter().zip(&mut buckets) {
            for (campaign_id, more) in &self.sales[key] {
                bucket.sales += *more;
                match bucket.ranking.sales(campaign_id) {
                    Some(mut known) => {
                        known += *more;
                        bucket.ranking.set(campaign_id, known);
                    }
                    None if self.leaves_out(*key, bucket, campaign_id) => bucket.ranking.count(campaign_id),
                    None => unknown.push((*key, campaign_id)),
                }
            }
        }
        let places: HashMap<BucketKey, usize> = keys.iter().copied().zip(0..).collect();
        for (key, campaign_id, sales) in self.look_up(unknown).await? {
            buckets[places[&key]].ranking.set(campaign_id, sales);
        }
        self.transaction.write_rankings(keys, &buckets).await
    }

    /// Whether a campaign sold too little in the hour or the day around a bucket to be in its ranking.
    fn leaves_out(&self, (grain, start): BucketKey, bucket: &RankedBucket, campaign_id: &'a str) -> bool {
        let wider = Grain::ALL.into_iter().filter(|wider| wider.number() > grain);
        let most = wider.filter_map(|wider| {
            self.most.get(&((wider.number(), wider.start_of(start)), campaign_id)).copied()
        });
        most.min().is_some_and(|most| bucket.ranking.leaves_out(campaign_id, most))
    }

    async fn look_up(
        &mut self,
        campaigns: Vec<(BucketKey, &'a str)>,
    ) -> Result<Vec<(BucketKey, &'a str, Sales)>, RankingError> {
        if campaigns.is_empty() {
            return Ok(Vec::new());
        }
        let left = match &self.left {
            Some(left) => left,
            None => &*self.left.insert(left_sales(self.transaction, &self.sales, self.taken).await?),
        };
        let mut all = Vec::with_capacity(campaigns.len());
        for campaigns in campaigns.chunks(LOOK_UPS_AT_ONCE) {
            let written = self.transaction.written_sales(campaigns).await?;
            for ((key, campaign_id), mut sales) in campaigns.iter().zip(written) {
                if let Some(left) = left.get(key).and_then(|bucket| bucket.get(campaign_id)) {
                    sales -= *left;
                }
                self.most.insert((*key, campaign_id), sales.amount);
                all.push((*key, *campaign_id, sales));
            }
        }
        Ok(all)
    }
}

/// The sales of deltas that stay, of those campaigns and buckets alone that `sales` has.
async fn left_sales<'a>(
    transaction: &mut JobTransaction,
    sales: &BucketSales<'a>,
    taken: &HashSet<i64>,
) -> Result<BucketSales<'a>, RankingError> {
    let mut left = BucketSales::new();
    each_waiting_sale(transaction, taken, |key, campaign_id, more| {
        let same = sales.get(&key).and_then(|bucket| bucket.get_key_value(campaign_id));
        if let Some((campaign_id, _)) = same {
            *left.entry(key).or_default().entry(*campaign_id).or_default() += more;
        }
    })
    .await?;
    Ok(left)
}

/// Calls `take` with the sales of every delta but those in `except`, once for each bucket around them.
pub(super) async fn each_waiting_sale(
    transaction: &mut JobTransaction,
    except: &HashSet<i64>,
    mut take: impl FnMut(BucketKey, &str, Sales),
) -> Result<(), RankingError> {
    let ids: Vec<i64> = with_connection!(&mut *transaction, connection => {
        sqlx::query_scalar(DELTA_IDS).fetch_all(connection).await?
    });
    for id in ids.into_iter().filter(|id| !except.contains(id)) {
        let data = delta(transaction, id).await?;
        for CampaignSales { minute, campaign_id, sales } in sales_of_delta(id, &data) {
            buckets_of(minute).for_each(|key| take(key, campaign_id, sales));
        }
    }
    Ok(())
}

/// The sums of deltas in the buckets of one grain.
fn by_bucket(deltas: &[(i64, Vec<u8>)], grain: Grain) -> BucketSales<'_> {
    let mut all = BucketSales::new();
    for (id, data) in deltas {
        for CampaignSales { minute, campaign_id, sales } in sales_of_delta(*id, data) {
            let key = (grain.number(), grain.start_of(minute * MINUTE));
            *all.entry(key).or_default().entry(campaign_id).or_default() += sales;
        }
    }
    all
}

/// The sales of a delta; none where it can't be read. Its sales are then missing in the rankings, which are made anew.
fn sales_of_delta(id: i64, data: &[u8]) -> Vec<CampaignSales<'_>> {
    let sales = SalesDelta::read(data);
    sales.inspect_err(|error| warn!(%error, id, "left out")).unwrap_or_default()
}

/// The buckets around a minute of event time.
fn buckets_of(minute: i64) -> impl Iterator<Item = BucketKey> {
    Grain::ALL.into_iter().map(move |grain| (grain.number(), grain.start_of(minute * MINUTE)))
}

async fn oldest_deltas(transaction: &mut JobTransaction) -> Result<Vec<(i64, i64)>, sqlx::Error> {
    with_connection!(transaction, connection => sqlx::query_as(OLDEST_DELTAS).fetch_all(connection).await)
}

async fn delta(transaction: &mut JobTransaction, id: i64) -> Result<Vec<u8>, sqlx::Error> {
    with_connection!(transaction, connection => {
        sqlx::query_scalar(DELTA_DATA).bind(id).fetch_one(connection).await
    })
}
