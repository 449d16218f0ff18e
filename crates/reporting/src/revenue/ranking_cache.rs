//! A cache of rankings of campaigns, each valid as long as the sales of its range stay the same.
//!
//! A ranking of many campaigns costs by the number of campaigns, also where none of them has sold anything since the
//! last report. A transaction adds a sale to both tables of rollups. The rollups by source are few: while they have the
//! same sales in a range of whole minutes, the ranking of the range is the same too.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};
use weir::contract::Money;

use super::queries::Revenue;
use crate::time_range::TimeRange;

/// The first campaigns of a range.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct TopCampaigns {
    /// By revenue descending, then by name.
    pub(super) campaigns: Vec<(String, Revenue)>,
    /// The most revenue that a campaign beside them may have, where they are not proven to be the first.
    pub(super) missed_at_most: Option<Money>,
}

/// More rankings than the dashboards of a team request; each has at most a thousand campaigns.
const MAX_RANKINGS: usize = 64;
/// `weir reconcile` may move money between campaigns while the sum stays. Reports show that within this time.
const MAX_AGE: Duration = Duration::from_secs(60);

/// The request that a ranking answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct RankingKey {
    /// A range of whole minutes.
    pub(super) range: TimeRange,
    pub(super) limit: u64,
}

/// The cached rankings. Cheap to clone; all clones share them.
#[derive(Clone, Debug)]
pub(crate) struct RankingCache {
    rankings: Arc<Mutex<HashMap<RankingKey, CachedRanking>>>,
    /// Above so many different campaigns in a range its list may be bounded.
    pub(super) max_exact_campaigns: u64,
    pub(super) lists: ListCounter,
}

/// The number of lists of campaigns, by the data that they were made from.
#[derive(Clone, Debug, Default)]
pub(super) struct ListCounter(Family<ListLabels, Counter>);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ListLabels {
    from: &'static str,
}

impl ListCounter {
    pub(super) fn count(&self, from: &'static str) {
        self.0.get_or_create(&ListLabels { from }).inc();
    }
}

#[derive(Debug)]
struct CachedRanking {
    since: Instant,
    /// Facebook's sales in the range, which alone may have a campaign.
    facebook: Revenue,
    ranking: Arc<TopCampaigns>,
}

impl RankingCache {
    /// An empty cache.
    pub(crate) fn new(max_exact_campaigns: u64) -> Self {
        Self { rankings: Arc::default(), max_exact_campaigns, lists: ListCounter::default() }
    }

    /// Registers the metrics of the rankings. A process calls it once.
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register(
            "weir_campaign_lists",
            "Lists of campaigns that were made from rankings, or from the sums of all campaigns where those prove nothing",
            self.lists.0.clone(),
        );
    }

    /// The ranking, if `facebook`, Facebook's sales in the same range, is unchanged.
    pub(super) fn get(&self, key: RankingKey, facebook: Revenue) -> Option<Arc<TopCampaigns>> {
        let rankings = self.rankings();
        let cached = rankings.get(&key).filter(|cached| cached.is_fresh() && cached.facebook == facebook)?;
        Some(Arc::clone(&cached.ranking))
    }

    /// Caches a ranking. `facebook` and `ranking` are of one snapshot.
    pub(super) fn put(&self, key: RankingKey, facebook: Revenue, ranking: &Arc<TopCampaigns>) {
        let mut rankings = self.rankings();
        rankings.retain(|_, cached| cached.is_fresh());
        if rankings.len() >= MAX_RANKINGS
            && let Some(oldest) = rankings.iter().min_by_key(|(_, cached)| cached.since).map(|(key, _)| *key)
        {
            rankings.remove(&oldest);
        }
        let ranking = Arc::clone(ranking);
        rankings.insert(key, CachedRanking { since: Instant::now(), facebook, ranking });
    }

    /// No code panics while it holds the lock, so that a poisoned map is still whole.
    fn rankings(&self) -> MutexGuard<'_, HashMap<RankingKey, CachedRanking>> {
        self.rankings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CachedRanking {
    fn is_fresh(&self) -> bool {
        self.since.elapsed() < MAX_AGE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(to: i64) -> RankingKey {
        RankingKey { range: TimeRange { from: None, to: Some(to) }, limit: 10 }
    }

    #[test]
    fn a_ranking_is_valid_while_the_sales_are_the_same() {
        let campaigns = vec![("c".to_owned(), Revenue::default())];
        let ranking = Arc::new(TopCampaigns { campaigns, missed_at_most: None });
        let rankings = RankingCache::new(0);
        let sales = |transactions| Revenue { total: Money(10), transactions };
        rankings.put(key(0), sales(1), &ranking);
        assert_eq!(rankings.get(key(0), sales(1)), Some(ranking));
        assert_eq!(rankings.get(key(0), sales(2)), None);
        assert_eq!(rankings.get(key(1), sales(1)), None);
        assert_eq!(rankings.get(RankingKey { limit: 11, ..key(0) }, sales(1)), None);
    }

    #[test]
    fn a_full_cache_drops_its_oldest_ranking() {
        let rankings = RankingCache::new(0);
        for to in 0..=MAX_RANKINGS as i64 {
            rankings.put(key(to), Revenue::default(), &Arc::default());
        }
        assert_eq!(rankings.rankings().len(), MAX_RANKINGS);
        assert_eq!(rankings.get(key(0), Revenue::default()), None);
        assert!(rankings.get(key(MAX_RANKINGS as i64), Revenue::default()).is_some());
    }
}
