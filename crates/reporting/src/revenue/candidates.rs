//! Candidates for the first campaigns of a range, and the proof that no other campaign belongs there.
//!
//! This is the threshold algorithm of Fagin, Lotem and Naor ("Optimal aggregation algorithms for middleware", 2003). A
//! range consists of buckets, each with a ranking. A ranking that leaves campaigns out bounds the revenue of each of
//! them in its bucket. So a campaign that no ranking has can't have more in the range than the sum of these bounds.

use std::{cmp::Ordering, collections::HashMap};

use weir_database::rankings::{Place, RankedCampaigns, Sales};

/// The campaigns that rankings and rows of a range name.
#[derive(Debug, Default)]
pub(super) struct Candidates {
    campaigns: HashMap<Box<str>, Candidate>,
    /// The bounds of the buckets whose rankings leave campaigns out.
    bounds: Vec<Place>,
}

/// What is known of one campaign.
#[derive(Clone, Copy, Debug, Default)]
struct Candidate {
    /// Sales outside of the buckets that leave campaigns out.
    outside: Sales,
    /// Sales in those buckets that rank it.
    inside: Sales,
    /// The number and the bounds of those that rank it.
    ranked_in: usize,
    bounds_of_ranked: i128,
}

/// The order in which candidates are looked at, and what was found.
#[derive(Debug)]
pub(super) struct Search {
    limit: usize,
    /// With all of their sales in the range, in order.
    known: Vec<(Place, Sales)>,
    /// The best place that each of the others may have, the best first; the sales outside of the buckets that leave
    /// campaigns out.
    unknown: Vec<(Place, Sales)>,
    next: usize,
    /// The best place that a campaign may have that is no candidate. `None` where all campaigns are candidates.
    others: Option<Place>,
}

impl Candidates {
    /// Adds the ranking of a bucket.
    pub(super) fn add_ranking(&mut self, ranking: &RankedCampaigns<'_>) {
        let bound = ranking.rest.as_ref().map(Place::amount);
        for (name, sales) in &ranking.campaigns {
            let candidate = self.candidate(name);
            match bound {
                None => candidate.outside += *sales,
                Some(bound) => {
                    candidate.inside += *sales;
                    candidate.ranked_in += 1;
                    candidate.bounds_of_ranked += bound;
                }
            }
        }
        self.bounds.extend(ranking.rest.clone());
    }

    /// Adds sales of rows, which are in no bucket.
    pub(super) fn add_outside(&mut self, name: &str, sales: Sales) {
        self.candidate(name).outside += sales;
    }

    fn candidate(&mut self, name: &str) -> &mut Candidate {
        if !self.campaigns.contains_key(name) {
            self.campaigns.insert(name.into(), Candidate::default());
        }
        self.campaigns.get_mut(name).expect("it was just inserted")
    }

    /// Begins a search for the first `limit` campaigns.
    pub(super) fn search(self, limit: usize) -> Search {
        let all_bounds: i128 = self.bounds.iter().map(Place::amount).sum();
        let (mut known, mut unknown) = (Vec::new(), Vec::new());
        for (name, candidate) in self.campaigns {
            let Candidate { outside, inside, ranked_in, bounds_of_ranked } = candidate;
            let mut sales = outside;
            sales += inside;
            if ranked_in == self.bounds.len() {
                known.push((Place::new(sales.amount, &name), sales));
            } else {
                let best = sales.amount + all_bounds - bounds_of_ranked;
                unknown.push((Place::new(best, &name), outside));
            }
        }
        known.sort_unstable_by(by_place);
        unknown.sort_unstable_by(by_place);
        let others = match self.bounds.as_slice() {
            [] => None,
            [only] => Some(only.clone()),
            _ => Some(Place::new(all_bounds, "")),
        };
        Search { limit, known, unknown, next: 0, others }
    }
}

/// Places are different: each has another name.
fn by_place((place, _): &(Place, Sales), (other, _): &(Place, Sales)) -> Ordering {
    place.cmp(other)
}

impl Search {
    /// The next candidates, at most `most`, whose sales in the buckets that leave campaigns out must be looked up. Empty
    /// where no further candidate can be among the first.
    pub(super) fn next(&self, most: usize) -> Vec<&str> {
        let last = self.last_known();
        let may_be_first = |(place, _): &&(Place, Sales)| last.is_none_or(|last| place < last);
        let waiting = self.unknown[self.next..].iter().take(most);
        waiting.take_while(may_be_first).map(|(place, _)| place.name()).collect()
    }

    /// Takes the sales of the candidates that [`Self::next`] named, `number` of them, in those buckets.
    pub(super) fn found(&mut self, number: usize, inside: &HashMap<String, Sales>) {
        for (place, outside) in &self.unknown[self.next..self.next + number] {
            let mut sales = *outside;
            sales += inside.get(place.name()).copied().unwrap_or_default();
            self.known.push((Place::new(sales.amount, place.name()), sales));
        }
        self.next += number;
        self.known.sort_unstable_by(by_place);
    }

    /// The first campaigns, and the most revenue that a campaign beside them may have; `None` where it is proven that no
    /// other belongs to the first.
    pub(super) fn finish(self) -> (Vec<(String, Sales)>, Option<i128>) {
        let last = self.last_known();
        let unknown = self.unknown[self.next..].first().map(|(place, _)| place);
        let best_other = unknown.into_iter().chain(&self.others).min();
        let is_proven = best_other.is_none_or(|other| last.is_some_and(|last| last <= other));
        let behind = self.known.get(self.limit).map(|(place, _)| place);
        let missed = best_other.into_iter().chain(behind).map(Place::amount).max();
        let missed = missed.filter(|_| !is_proven);
        let first = self.known.into_iter().take(self.limit);
        (first.map(|(place, sales)| (place.name().to_owned(), sales)).collect(), missed)
    }

    /// The place of the last of the first `limit`, where so many are known.
    fn last_known(&self) -> Option<&Place> {
        self.known.get(self.limit.checked_sub(1)?).map(|(place, _)| place)
    }
}

#[cfg(test)]
mod tests {
    use std::{cmp::Reverse, collections::BTreeMap};

    use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
    use weir_database::rankings::Ranking;

    use super::*;

    /// A bucket's sales by campaign, as the rollups have them.
    type Bucket = BTreeMap<String, Sales>;

    /// Buckets with random campaigns, of which few sell much or all sell the same.
    fn buckets(random: &mut StdRng) -> Vec<Bucket> {
        let (campaigns, amounts) = (random.random_range(1..60), [1, 4, 1_000][random.random_range(0..3)]);
        let bucket = |random: &mut StdRng| {
            let mut bucket = Bucket::new();
            for _ in 0..random.random_range(0..80) {
                let name = format!("camp-{}", random.random_range(0..campaigns));
                let sale = Sales { transactions: 1, amount: random.random_range(0..amounts) };
                *bucket.entry(name).or_default() += sale;
            }
            bucket
        };
        (0..random.random_range(1..5)).map(|_| bucket(random)).collect()
    }

    fn blob_of(bucket: &Bucket) -> Vec<u8> {
        let mut ranking = Ranking::default();
        bucket.iter().for_each(|(name, sales)| ranking.set(name, *sales));
        ranking.to_blob()
    }

    fn first_of(all: &Bucket, limit: usize) -> Vec<(String, Sales)> {
        let mut all: Vec<(String, Sales)> = all.iter().map(|(name, sales)| (name.clone(), *sales)).collect();
        all.sort_by_key(|(name, sales)| (Reverse(sales.amount), name.clone()));
        all.truncate(limit);
        all
    }

    fn sum<'a>(buckets: impl Iterator<Item = &'a Bucket>) -> Bucket {
        let mut all = Bucket::new();
        for (name, sales) in buckets.flatten() {
            *all.entry(name.clone()).or_default() += *sales;
        }
        all
    }

    /// Rankings are cut, and the search has a budget.
    #[test]
    fn what_is_proven_is_right_and_what_is_not_tells_the_most_that_is_missed() {
        let (mut proven, mut bounded) = (0, 0);
        for seed in 0..2_000 {
            let mut random = StdRng::seed_from_u64(seed);
            let (buckets, rows) = (buckets(&mut random), buckets(&mut random).remove(0));
            let all = sum(buckets.iter().chain([&rows]));
            let (limit, most, mut budget) =
                (random.random_range(1..12), random.random_range(0..40), random.random_range(0..30));
            let mut candidates = Candidates::default();
            let mut cut = Vec::new();
            for bucket in &buckets {
                let blob = blob_of(bucket);
                let ranking = RankedCampaigns::read(&blob, most).unwrap();
                candidates.add_ranking(&ranking);
                cut.extend(ranking.rest.is_some().then_some(bucket));
            }
            rows.iter().for_each(|(name, sales)| candidates.add_outside(name, *sales));
            let inside: HashMap<String, Sales> = sum(cut.into_iter()).into_iter().collect();
            let mut search = candidates.search(limit);
            while budget > 0 && !search.next(7).is_empty() {
                let number = search.next(7).len();
                search.found(number, &inside);
                budget -= 1;
            }
            let (first, missed) = search.finish();
            for (name, sales) in &first {
                assert_eq!(all.get(name), Some(sales), "{name}, seed {seed}");
            }
            match missed {
                None => {
                    proven += 1;
                    assert_eq!(first, first_of(&all, limit), "seed {seed}");
                }
                Some(missed) => {
                    bounded += 1;
                    let listed: Vec<&str> = first.iter().map(|(name, _)| name.as_str()).collect();
                    let beside = all.iter().filter(|(name, _)| !listed.contains(&name.as_str()));
                    let most = beside.map(|(_, sales)| sales.amount).max().unwrap_or(0);
                    assert!(most <= missed, "{most} of {missed}, seed {seed}");
                }
            }
        }
        assert!(proven > 500 && bounded > 100, "{proven} proven, {bounded} bounded");
    }
}
