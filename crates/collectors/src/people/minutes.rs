//! What sightings add to buckets: worked out by minute, and from minutes for hours and days.

use std::collections::BTreeMap;

use weir_database::people::{GRAINS, MINUTE, SLOTS, Sets};

use super::{
    dictionary::Numbers,
    transaction::{Bucket, Bucketed},
};

/// Numbers by minute of event time since the Unix epoch.
#[derive(Debug, Default)]
pub(super) struct Minutes(BTreeMap<i64, (i64, [Vec<u32>; SLOTS])>);

impl Minutes {
    /// Adds a sighting, which counts as `weight` events.
    pub(super) fn add(&mut self, minute: i64, numbers: &Numbers, weight: i64) {
        let (sightings, slots) = self.0.entry(minute).or_default();
        *sightings += weight;
        for (slot, number) in slots.iter_mut().zip(numbers) {
            slot.extend(number);
        }
    }

    /// What it adds to each bucket, by minute alone.
    pub(super) fn minutes(self) -> BTreeMap<i64, Bucketed> {
        let bucketed = |(sightings, slots)| Bucketed { sightings, sets: Sets::of(slots) };
        self.0.into_iter().map(|(minute, seen)| (minute, bucketed(seen))).collect()
    }

    /// What it adds to each bucket of every grain, in the order of their keys.
    pub(super) fn buckets(self) -> BTreeMap<Bucket, Bucketed> {
        let mut buckets: BTreeMap<Bucket, Bucketed> = BTreeMap::new();
        for (minute, seen) in self.minutes() {
            for bucket in of_minute(minute) {
                buckets.entry(bucket).or_default().add(&seen);
            }
        }
        buckets
    }
}

impl Bucketed {
    pub(super) fn add(&mut self, other: &Self) {
        self.sightings += other.sightings;
        self.sets.unite(&other.sets);
    }
}

/// The buckets that a minute since the Unix epoch is in, one of each grain.
pub(super) fn of_minute(minute: i64) -> [Bucket; GRAINS.len()] {
    GRAINS.map(|(grain, width)| (grain, minute.div_euclid(width) * width * MINUTE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_is_in_its_hour_and_in_its_day() {
        let hour = 60 * MINUTE;
        assert_eq!(of_minute(61), [(1, 61 * MINUTE), (2, hour), (3, 0)]);
        assert_eq!(of_minute(-1), [(1, -MINUTE), (2, -hour), (3, -24 * hour)]);
    }

    #[test]
    fn wider_buckets_are_made_of_minutes() {
        let numbers = |number: u32| std::array::from_fn(|_| Some(number));
        let mut minutes = Minutes::default();
        minutes.add(0, &numbers(1), 1);
        minutes.add(0, &numbers(2), 1);
        minutes.add(59, &numbers(1), 1);
        minutes.add(60, &numbers(3), 0);
        let told = minutes.buckets().into_iter().map(|(bucket, Bucketed { sightings, sets })| {
            (bucket, sightings, sets.slot(0).iter().collect::<Vec<_>>())
        });
        let expected = [
            ((1, 0), 2, vec![1, 2]),
            ((1, 59 * MINUTE), 1, vec![1]),
            ((1, 60 * MINUTE), 0, vec![3]),
            ((2, 0), 3, vec![1, 2]),
            ((2, 60 * MINUTE), 0, vec![3]),
            ((3, 0), 3, vec![1, 2, 3]),
        ];
        assert_eq!(told.collect::<Vec<_>>(), expected);
    }
}
