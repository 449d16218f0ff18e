//! The additions of observations to buckets: collected by minute, then united to hours and days.

use std::collections::BTreeMap;

use weir_database::{
    people::{SLOTS, Sets},
    time_bucket::{Grain, MINUTE},
};

use super::{
    dictionary::Numbers,
    transaction::{BucketKey, PeopleBucket},
};

/// Numbers by minute of event time since the Unix epoch.
#[derive(Debug, Default)]
pub(super) struct Minutes(BTreeMap<i64, (i64, [Vec<u32>; SLOTS])>);

impl Minutes {
    /// Adds an observation, which counts as `weight` events.
    pub(super) fn add(&mut self, minute: i64, numbers: &Numbers, weight: i64) {
        let (observations, slots) = self.0.entry(minute).or_default();
        *observations += weight;
        for (slot, number) in slots.iter_mut().zip(numbers) {
            slot.extend(number);
        }
    }

    /// The additions to each bucket of a minute.
    pub(super) fn minutes(self) -> BTreeMap<i64, PeopleBucket> {
        let bucket = |(observations, slots)| PeopleBucket { observations, sets: Sets::of(slots) };
        self.0.into_iter().map(|(minute, additions)| (minute, bucket(additions))).collect()
    }

    /// The additions to each bucket of every grain, in the order of their keys.
    pub(super) fn buckets(self) -> BTreeMap<BucketKey, PeopleBucket> {
        let mut buckets: BTreeMap<BucketKey, PeopleBucket> = BTreeMap::new();
        for (minute, additions) in self.minutes() {
            for key in buckets_of_minute(minute) {
                buckets.entry(key).or_default().add(&additions);
            }
        }
        buckets
    }
}

impl PeopleBucket {
    pub(super) fn add(&mut self, other: &Self) {
        self.observations += other.observations;
        self.sets.unite(&other.sets);
    }
}

/// The buckets of a minute since the Unix epoch, one of each grain.
pub(super) fn buckets_of_minute(minute: i64) -> [BucketKey; Grain::ALL.len()] {
    Grain::ALL.map(|grain| (grain.number(), grain.start_of(minute * MINUTE)))
}

/// So many consecutive buckets, the first of which starts at `first`.
pub(super) fn consecutive(grain: Grain, first: i64, number: i64) -> Vec<BucketKey> {
    (0..number).map(|part| (grain.number(), first + part * grain.width())).collect()
}

#[cfg(test)]
mod tests {
    use weir_database::time_bucket::{DAY, HOUR};

    use super::*;

    #[test]
    fn a_minute_is_in_its_hour_and_in_its_day() {
        assert_eq!(buckets_of_minute(61), [(1, 61 * MINUTE), (2, HOUR), (3, 0)]);
        assert_eq!(buckets_of_minute(-1), [(1, -MINUTE), (2, -HOUR), (3, -DAY)]);
    }

    #[test]
    fn wider_buckets_unite_their_minutes() {
        let numbers = |number: u32| std::array::from_fn(|_| Some(number));
        let mut minutes = Minutes::default();
        minutes.add(0, &numbers(1), 1);
        minutes.add(0, &numbers(2), 1);
        minutes.add(59, &numbers(1), 1);
        minutes.add(60, &numbers(3), 0);
        let summaries = minutes.buckets().into_iter().map(|(bucket, PeopleBucket { observations, sets })| {
            (bucket, observations, sets.slot(0).iter().collect::<Vec<_>>())
        });
        let expected = [
            ((1, 0), 2, vec![1, 2]),
            ((1, 59 * MINUTE), 1, vec![1]),
            ((1, 60 * MINUTE), 0, vec![3]),
            ((2, 0), 3, vec![1, 2]),
            ((2, 60 * MINUTE), 0, vec![3]),
            ((3, 0), 3, vec![1, 2, 3]),
        ];
        assert_eq!(summaries.collect::<Vec<_>>(), expected);
    }
}
