//! Rankings of campaigns, remembered for as long as they are proven to be right.
//!
//! To add up what each of many campaigns earned costs by the campaigns, also where none has sold anything since it was
//! last asked. Sales are only ever added, in one transaction to both tables of rollups: while the rollups by source,
//! which are few, know the same sales of a span of whole minutes, its ranking is the same.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::Revenue;
use crate::time_range::Span;

/// Campaigns by revenue descending, then by name.
pub(super) type Ranking = Arc<[(String, Revenue)]>;

/// More than a board of dashboards asks for; each has a thousand campaigns at most.
const MOST: usize = 64;
/// `weir reconcile` may move money between campaigns while the sum stays; that is seen within this.
const LONGEST: Duration = Duration::from_secs(60);

/// What was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Asked {
    /// Of whole minutes.
    pub(super) span: Span,
    pub(super) limit: u64,
}

/// The rankings that are remembered. Cheap to clone; every clone is the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rankings(Arc<Mutex<HashMap<Asked, Kept>>>);

#[derive(Debug)]
struct Kept {
    since: Instant,
    /// All sales that could have a campaign.
    of_source: Revenue,
    ranking: Ranking,
}

impl Rankings {
    /// The ranking while `of_source` is what Facebook's sales of the same span are.
    pub(super) fn get(&self, asked: Asked, of_source: Revenue) -> Option<Ranking> {
        let kept = self.kept();
        let kept = kept.get(&asked).filter(|kept| kept.is_fresh() && kept.of_source == of_source)?;
        Some(Arc::clone(&kept.ranking))
    }

    /// Both figures are of one snapshot.
    pub(super) fn put(&self, asked: Asked, of_source: Revenue, ranking: &Ranking) {
        let mut kept = self.kept();
        kept.retain(|_, kept| kept.is_fresh());
        if kept.len() >= MOST
            && let Some(oldest) = kept.iter().min_by_key(|(_, kept)| kept.since).map(|(asked, _)| *asked)
        {
            kept.remove(&oldest);
        }
        let ranking = Arc::clone(ranking);
        kept.insert(asked, Kept { since: Instant::now(), of_source, ranking });
    }

    /// Nobody panics while holding it.
    fn kept(&self) -> MutexGuard<'_, HashMap<Asked, Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn is_fresh(&self) -> bool {
        self.since.elapsed() < LONGEST
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decimal::Money;

    fn asked(to: i64) -> Asked {
        Asked { span: Span { from: None, to: Some(to) }, limit: 10 }
    }

    #[test]
    fn a_ranking_is_right_while_the_sales_are_the_same() {
        let (rankings, ranking) =
            (Rankings::default(), Ranking::from([("c".to_owned(), Revenue::default())]));
        let sales = |transactions| Revenue { total: Money(10), transactions };
        rankings.put(asked(0), sales(1), &ranking);
        assert_eq!(rankings.get(asked(0), sales(1)), Some(ranking));
        assert_eq!(rankings.get(asked(0), sales(2)), None);
        assert_eq!(rankings.get(asked(1), sales(1)), None);
        assert_eq!(rankings.get(Asked { limit: 11, ..asked(0) }, sales(1)), None);
    }

    #[test]
    fn only_so_many_are_remembered_and_the_newest_stay() {
        let rankings = Rankings::default();
        for to in 0..=MOST as i64 {
            rankings.put(asked(to), Revenue::default(), &Ranking::from([]));
        }
        assert_eq!(rankings.kept().len(), MOST);
        assert_eq!(rankings.get(asked(0), Revenue::default()), None);
        assert!(rankings.get(asked(MOST as i64), Revenue::default()).is_some());
    }
}
