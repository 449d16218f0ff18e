//! Counts of the members of every group, in one pass over their numbers.

use std::{cmp::Ordering, ops::AddAssign, sync::Arc};

use weir::contract::reporting::v1::{CityUsers, CountryUsers};
use weir_database::people::{Dimension, PARTITION_NUMBERS, PARTITIONS, PersonKey, Sets};

use super::{
    attribute_cache::{CHUNK, CachedAttributes, Chunk},
    result::Users,
};

/// Members by group, by gender or device, by country and by city, the latter two by the numbers of their names.
#[derive(Clone, Debug)]
pub(super) struct Counts {
    groups: Vec<u64>,
    genders_or_devices: Vec<u64>,
    countries: Vec<u32>,
    cities: Vec<u32>,
    /// The partitions that are counted, from the first on.
    partitions: u32,
}

impl Counts {
    /// Empty counts of these first partitions: all of them, or a sample.
    pub(super) fn new(partitions: u32) -> Self {
        /// The values of a byte.
        const BYTES: usize = 256;
        Self {
            groups: vec![0; BYTES],
            genders_or_devices: vec![0; BYTES],
            countries: Vec::new(),
            cities: Vec::new(),
            partitions,
        }
    }

    /// The indexes of the chunks that have a counted member.
    pub(super) fn chunk_indexes(&self, sets: &Sets) -> Vec<u32> {
        let mut indexes = Vec::new();
        for slot in distinct_slots(sets) {
            let mut numbers = sets.dimension(Dimension::ALL[slot]).iter();
            while let Some(number) = numbers.next() {
                if number / PARTITION_NUMBERS >= self.partitions {
                    break;
                }
                indexes.push(number / CHUNK);
                let Some(next) = (number / CHUNK + 1).checked_mul(CHUNK) else { break };
                numbers.advance_to(next);
            }
        }
        indexes.sort_unstable();
        indexes.dedup();
        indexes
    }

    /// Grows to the number of interned names.
    pub(super) fn grow(&mut self, cached: &CachedAttributes) {
        // Names are numbered from 1.
        self.countries.resize(cached.countries.len() + 1, 0);
        self.cities.resize(cached.cities.len() + 1, 0);
    }

    /// Counts of the same size without members.
    pub(super) fn emptied(&self) -> Self {
        Self {
            countries: vec![0; self.countries.len()],
            cities: vec![0; self.cities.len()],
            ..Self::new(self.partitions)
        }
    }

    /// Adds the counts of other numbers, of the same size.
    pub(super) fn merge(&mut self, other: &Self) {
        fn add<T: AddAssign + Copy>(own: &mut [T], other: &[T]) {
            own.iter_mut().zip(other).for_each(|(own, other)| *own += *other);
        }
        add(&mut self.groups, &other.groups);
        add(&mut self.genders_or_devices, &other.genders_or_devices);
        add(&mut self.countries, &other.countries);
        add(&mut self.cities, &other.cities);
    }

    /// Counts the numbers of some chunks.
    pub(super) fn add(&mut self, sets: &Sets, chunks: &[(u32, Arc<Chunk>)]) {
        let mut offsets: Vec<usize> = Vec::with_capacity(CHUNK as usize);
        for (index, chunk) in chunks {
            for slot in distinct_slots(sets) {
                let first = index * CHUNK;
                let numbers = sets.dimension(Dimension::ALL[slot]).range(first..=first + (CHUNK - 1));
                offsets.clear();
                offsets.extend(numbers.map(|number| (number - first) as usize));
                for dimension in dimensions_of(sets, slot) {
                    self.add_dimension(dimension, chunk, &offsets);
                }
            }
        }
    }

    fn add_dimension(&mut self, dimension: Dimension, chunk: &Chunk, offsets: &[usize]) {
        match dimension {
            Dimension::Group => add_bytes(&mut self.groups, &chunk.groups, offsets),
            Dimension::GenderOrDevice => {
                add_bytes(&mut self.genders_or_devices, &chunk.genders_or_devices, offsets);
            }
            Dimension::Country => add_names(&mut self.countries, &chunk.countries, offsets),
            Dimension::City => add_names(&mut self.cities, &chunk.cities, offsets),
        }
    }

    /// Counts a member that no set has: a value of a dimension, above 0.
    pub(super) fn add_member(&mut self, key: PersonKey, dimension: Dimension, value: u32) {
        if key.partition() >= self.partitions {
            return;
        }
        let value = value as usize;
        match dimension {
            Dimension::Group => self.groups[value] += 1,
            Dimension::GenderOrDevice => self.genders_or_devices[value] += 1,
            Dimension::Country => self.countries[value] += 1,
            Dimension::City => self.cities[value] += 1,
        }
    }

    /// The result for `users` in all.
    pub(super) fn finish(&self, cached: &CachedAttributes, users: u64, limit: usize) -> Users {
        let scaled = |members: u64| self.scaled(members);
        let groups = self.groups.iter().enumerate().skip(1).filter(|(_, members)| **members > 0);
        let genders_or_devices =
            self.genders_or_devices.iter().enumerate().skip(1).filter(|(_, members)| **members > 0);
        let (countries, cities) = (&cached.countries, &cached.cities);
        let by_country = |one: u32, other: u32| countries.name(one).cmp(countries.name(other));
        let by_city = |one: u32, other: u32| {
            let country = match (cities.parent(one), cities.parent(other)) {
                (one, other) if one == other => Ordering::Equal,
                (one, other) => by_country(one, other),
            };
            country.then_with(|| cities.name(one).cmp(cities.name(other)))
        };
        let country = |(number, members): (u32, u32)| CountryUsers {
            country: countries.name(number).to_owned(),
            users: scaled(members.into()),
            relative_error: None,
        };
        let city = |(number, members): (u32, u32)| CityUsers {
            country: countries.name(cities.parent(number)).to_owned(),
            city: cities.name(number).to_owned(),
            users: scaled(members.into()),
            relative_error: None,
        };
        Users {
            users,
            groups: groups.map(|(group, members)| (group - 1, scaled(*members))).collect(),
            genders_or_devices: genders_or_devices
                .map(|(number, members)| (number as i32, scaled(*members)))
                .collect(),
            countries: top(&self.countries, limit, by_country).into_iter().map(country).collect(),
            cities: top(&self.cities, limit, by_city).into_iter().map(city).collect(),
            relative_error: self.relative_error(users),
        }
    }

    /// The estimate for all partitions: the counted ones are a random sample.
    fn scaled(&self, members: u64) -> u64 {
        let counted = u64::from(self.partitions);
        (members * u64::from(PARTITIONS) + counted / 2) / counted
    }

    /// Each user is in the sample with the same, independent probability.
    fn relative_error(&self, users: u64) -> Option<f64> {
        let share = f64::from(self.partitions) / f64::from(PARTITIONS);
        (self.partitions < PARTITIONS && users > 0).then(|| ((1.0 / share - 1.0) / users as f64).sqrt())
    }
}

/// The first of each group of dimensions that share a set.
fn distinct_slots(sets: &Sets) -> impl Iterator<Item = usize> {
    let dimensions = 0..Dimension::ALL.len();
    dimensions.filter(|slot| !(0..*slot).any(|earlier| sets.is_same(earlier + 1, slot + 1)))
}

/// The dimensions that share the set of one.
fn dimensions_of(sets: &Sets, slot: usize) -> impl Iterator<Item = Dimension> {
    let dimensions = Dimension::ALL.into_iter();
    dimensions.filter(move |dimension| sets.is_same(slot + 1, *dimension as usize + 1))
}

fn add_bytes(counts: &mut [u64], column: &[u8], offsets: &[usize]) {
    for offset in offsets {
        // A number behind the end of a chunk has no attributes.
        let value = column.get(*offset).copied().unwrap_or(0);
        counts[usize::from(value)] += 1;
    }
}

fn add_names(counts: &mut [u32], column: &[u32], offsets: &[usize]) {
    for offset in offsets {
        let number = column.get(*offset).copied().unwrap_or(0);
        if let Some(count) = counts.get_mut(number as usize) {
            *count += 1;
        }
    }
}

/// The `limit` largest counts, ties by `order`, without the first count, which is of no value. Names are compared only
/// where they decide.
fn top(counts: &[u32], limit: usize, order: impl Fn(u32, u32) -> Ordering) -> Vec<(u32, u32)> {
    let counted = || (1_u32..).zip(counts.iter().copied().skip(1)).filter(|(_, members)| *members > 0);
    let mut largest: Vec<u32> = counted().map(|(_, members)| members).collect();
    let least = match limit.checked_sub(1) {
        None => return Vec::new(),
        Some(last) if last < largest.len() => *largest.select_nth_unstable_by(last, |a, b| b.cmp(a)).1,
        Some(_) => 0,
    };
    let mut top: Vec<(u32, u32)> = counted().filter(|(_, members)| *members > least).collect();
    let mut tied: Vec<(u32, u32)> = counted().filter(|(_, members)| *members == least).collect();
    let places = limit - top.len().min(limit);
    if places < tied.len() {
        if let Some(last) = places.checked_sub(1) {
            tied.select_nth_unstable_by(last, |(one, _), (other, _)| order(*one, *other));
        }
        tied.truncate(places);
    }
    top.extend(tied);
    top.sort_by(|(one, members), (other, more)| more.cmp(members).then_with(|| order(*one, *other)));
    top
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_counts_come_first_and_ties_by_name() {
        let names = ["", "d", "b", "a", "c", "e"];
        let order = |one: u32, other: u32| names[one as usize].cmp(names[other as usize]);
        let counts = [9, 2, 2, 1, 2, 0];
        let ranked = |limit| -> Vec<(&str, u32)> {
            let top = top(&counts, limit, order);
            top.into_iter().map(|(number, members)| (names[number as usize], members)).collect()
        };
        assert_eq!(ranked(1), [("b", 2)]);
        assert_eq!(ranked(2), [("b", 2), ("c", 2)]);
        assert_eq!(ranked(4), [("b", 2), ("c", 2), ("d", 2), ("a", 1)]);
        assert_eq!(ranked(1_000), ranked(4));
        assert!(top(&[9], 3, order).is_empty());
    }

    #[test]
    fn a_sample_is_scaled_up_and_has_an_error() {
        let mut sample = Counts::new(4);
        sample.groups[2] = 25;
        let cached = CachedAttributes::default();
        let users = sample.finish(&cached, 300, 10);
        assert_eq!((users.users, users.groups), (300, vec![(1, 100)]));
        assert_eq!(users.relative_error, Some((3.0_f64 / 300.0).sqrt()));
        assert_eq!(Counts::new(PARTITIONS).finish(&cached, 300, 10).relative_error, None);
    }
}
