//! Verification of the rankings against `campaign_rollups`, for `weir reconcile`.
//!
//! Where the sums of a day differ, reports do not use its ranking, and the job rebuilds it. A mismatch is a ranking with
//! the right sums and wrong campaigns, and that of an hour or a minute with wrong sums in a day with the right ones.

use std::ops::Range;

use weir_database::time_bucket::{DAY, Grain};

use super::{
    BucketSums, RankedBucket, RankingError, Rankings,
    rebuild::{each_campaign, sums, waiting_sales, waiting_sums},
};
use crate::{job_transaction::JobTransaction, people::BucketKey};

/// A bucket with campaigns in wrong places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WrongRanking {
    pub(crate) bucket: BucketKey,
    /// Campaigns that it ranks with wrong sales or should not rank, or leaves out and should rank; 1 where its sums alone
    /// are wrong.
    pub(crate) misplaced: u64,
}

impl Rankings {
    /// The wrong rankings of a day, the narrowest bucket first. `asked` has the range of buckets to compare for each
    /// grain.
    ///
    /// # Errors
    /// The database can't be read.
    pub(crate) async fn wrong_rankings(
        &self,
        day: i64,
        asked: &[Range<i64>; 3],
    ) -> Result<Vec<WrongRanking>, RankingError> {
        let mut transaction = JobTransaction::begin_read_only(&self.pool).await?;
        let waiting = waiting_sums(&mut transaction).await?;
        let is_right = |(right, ranked): &BucketSums| right == ranked;
        let days = sums(&mut transaction, Grain::Day, day..day + DAY, &waiting).await?;
        let is_day_right = days.values().all(is_right);
        let mut wrong = Vec::new();
        for (grain, asked) in Grain::ALL.into_iter().zip(asked) {
            let sums = sums(&mut transaction, grain, day..day + DAY, &waiting).await?;
            let compared =
                sums.iter().filter(|(start, sums)| asked.contains(start) && (is_day_right || is_right(sums)));
            let keys: Vec<BucketKey> = compared.map(|(start, _)| (grain.number(), *start)).collect();
            let of_deltas = waiting_sales(&mut transaction, &keys).await?;
            for key in keys {
                let stored = transaction.rankings(&[key]).await?.pop().unwrap_or_default();
                let (mut misplaced, mut right) = (0, 0);
                each_campaign(&mut transaction, key, of_deltas.get(&key), |campaign_id, sales| {
                    let RankedBucket { ranking, .. } = &stored;
                    match ranking.sales(campaign_id) {
                        Some(found) if found == sales => right += 1,
                        None if ranking.leaves_out(campaign_id, sales.amount) => {}
                        Some(_) | None => misplaced += 1,
                    }
                })
                .await?;
                // A campaign with wrong sales counts on both sides.
                misplaced = misplaced.max(stored.ranking.len() as u64 - right);
                misplaced = misplaced.max(u64::from(!is_right(&sums[&key.1])));
                if misplaced > 0 {
                    wrong.push(WrongRanking { bucket: key, misplaced });
                }
            }
        }
        transaction.commit().await?;
        Ok(wrong)
    }
}
