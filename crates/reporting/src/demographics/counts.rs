//! Counting the members of every group by going over their numbers once.

use std::{cmp::Ordering, ops::AddAssign, sync::Arc};

use weir::contract::reporting::v1::{CityUsers, CountryUsers};
use weir_database::people::{Attributes, Dimension, PARTITION_NUMBERS, PARTITIONS, PersonKey, Sets};

use super::{
    attribute_cache::{CHUNK, Chunk, Kept},
    result::Counted,
};

/// Members by group, by kind, by country and by city, the latter two by the numbers of their names.
#[derive(Clone, Debug)]
pub(super) struct Counts {
    groups: Vec<u64>,
    kinds: Vec<u64>,
    countries: Vec<u32>,
    cities: Vec<u32>,
    /// The partitions that are counted, from the first on.
    partitions: u32,
}

impl Counts {
    /// Of everybody, or of a sample of some partitions.
    pub(super) fn of(partitions: u32) -> Self {
        /// Every number of a byte.
        const BYTES: usize = 256;
        Self {
            groups: vec![0; BYTES],
            kinds: vec![0; BYTES],
            countries: Vec::new(),
            cities: Vec::new(),
            partitions,
        }
    }

    /// The places of the chunks that have somebody who is counted.
    pub(super) fn places(&self, sets: &Sets) -> Vec<u32> {
        let mut places = Vec::new();
        for slot in distinct(sets) {
            let mut numbers = sets.dimension(Dimension::ALL[slot]).iter();
            while let Some(number) = numbers.next() {
                if number / PARTITION_NUMBERS >= self.partitions {
                    break;
                }
                places.push(number / CHUNK);
                let Some(next) = (number / CHUNK + 1).checked_mul(CHUNK) else { break };
                numbers.advance_to(next);
            }
        }
        places.sort_unstable();
        places.dedup();
        places
    }

    /// Makes room for as many names.
    pub(super) fn make_room(&mut self, kept: &Kept) {
        // Names are numbered from 1.
        self.countries.resize(kept.countries.len() + 1, 0);
        self.cities.resize(kept.cities.len() + 1, 0);
    }

    /// As much room, and nobody in it.
    pub(super) fn emptied(&self) -> Self {
        Self {
            countries: vec![0; self.countries.len()],
            cities: vec![0; self.cities.len()],
            ..Self::of(self.partitions)
        }
    }

    /// Adds what was counted of other numbers, in as much room.
    pub(super) fn merge(&mut self, other: &Self) {
        fn add<T: AddAssign + Copy>(own: &mut [T], other: &[T]) {
            own.iter_mut().zip(other).for_each(|(own, other)| *own += *other);
        }
        add(&mut self.groups, &other.groups);
        add(&mut self.kinds, &other.kinds);
        add(&mut self.countries, &other.countries);
        add(&mut self.cities, &other.cities);
    }

    /// Counts the numbers of some chunks.
    pub(super) fn add(&mut self, sets: &Sets, chunks: &[(u32, Arc<Chunk>)]) {
        let mut offsets: Vec<usize> = Vec::with_capacity(CHUNK as usize);
        for (place, chunk) in chunks {
            for slot in distinct(sets) {
                let first = place * CHUNK;
                let numbers = sets.dimension(Dimension::ALL[slot]).range(first..=first + (CHUNK - 1));
                offsets.clear();
                offsets.extend(numbers.map(|number| (number - first) as usize));
                for dimension in alike(sets, slot) {
                    self.add_dimension(dimension, chunk, &offsets);
                }
            }
        }
    }

    fn add_dimension(&mut self, dimension: Dimension, chunk: &Chunk, offsets: &[usize]) {
        match dimension {
            Dimension::Group => add_bytes(&mut self.groups, &chunk.groups, offsets),
            Dimension::Kind => add_bytes(&mut self.kinds, &chunk.kinds, offsets),
            Dimension::Country => add_names(&mut self.countries, &chunk.countries, offsets),
            Dimension::City => add_names(&mut self.cities, &chunk.cities, offsets),
        }
    }

    /// Counts somebody whom no set has.
    pub(super) fn add_member(
        &mut self,
        kept: &mut Kept,
        key: &PersonKey,
        dimension: Dimension,
        traits: &Attributes<'_>,
    ) {
        if key.partition() >= self.partitions {
            return;
        }
        let country = traits.country.map_or(0, |name| kept.countries.number(0, name));
        let city = traits.city.map_or(0, |name| kept.cities.number(country, name));
        self.make_room(kept);
        match dimension {
            Dimension::Group => self.groups[usize::from(traits.group)] += 1,
            Dimension::Kind => self.kinds[usize::from(traits.kind)] += 1,
            Dimension::Country => self.countries[country as usize] += 1,
            Dimension::City => self.cities[city as usize] += 1,
        }
    }

    /// What the section says of `users`.
    pub(super) fn told(&self, kept: &Kept, users: u64, limit: usize) -> Counted {
        let scaled = |members: u64| self.scaled(members);
        let groups = self.groups.iter().enumerate().skip(1).filter(|(_, members)| **members > 0);
        let kinds = self.kinds.iter().enumerate().skip(1).filter(|(_, members)| **members > 0);
        let (countries, cities) = (&kept.countries, &kept.cities);
        let by_country = |one: u32, other: u32| countries.name(one).cmp(countries.name(other));
        let by_city = |one: u32, other: u32| {
            let country = match (cities.within(one), cities.within(other)) {
                (one, other) if one == other => Ordering::Equal,
                (one, other) => by_country(one, other),
            };
            country.then_with(|| cities.name(one).cmp(cities.name(other)))
        };
        let country = |(number, members): (u32, u32)| CountryUsers {
            country: countries.name(number).to_owned(),
            users: scaled(members.into()),
        };
        let city = |(number, members): (u32, u32)| CityUsers {
            country: countries.name(cities.within(number)).to_owned(),
            city: cities.name(number).to_owned(),
            users: scaled(members.into()),
        };
        Counted {
            users,
            groups: groups.map(|(group, members)| (group - 1, scaled(*members))).collect(),
            kinds: kinds.map(|(kind, members)| (kind as i32, scaled(*members))).collect(),
            countries: top(&self.countries, limit, by_country).into_iter().map(country).collect(),
            cities: top(&self.cities, limit, by_city).into_iter().map(city).collect(),
            relative_error: self.relative_error(users),
        }
    }

    /// As many as there are in all partitions, where those that are counted are like the others.
    fn scaled(&self, members: u64) -> u64 {
        let counted = u64::from(self.partitions);
        (members * u64::from(PARTITIONS) + counted / 2) / counted
    }

    /// Everybody is in the sample with a chance of its own.
    fn relative_error(&self, users: u64) -> Option<f64> {
        let share = f64::from(self.partitions) / f64::from(PARTITIONS);
        (self.partitions < PARTITIONS && users > 0).then(|| ((1.0 / share - 1.0) / users as f64).sqrt())
    }
}

/// Of dimensions that share a set, the first.
fn distinct(sets: &Sets) -> impl Iterator<Item = usize> {
    let dimensions = 0..Dimension::ALL.len();
    dimensions.filter(|slot| !(0..*slot).any(|earlier| sets.is_same(earlier + 1, slot + 1)))
}

/// The dimensions that share the set of one.
fn alike(sets: &Sets, slot: usize) -> impl Iterator<Item = Dimension> {
    let dimensions = Dimension::ALL.into_iter();
    dimensions.filter(move |dimension| sets.is_same(slot + 1, *dimension as usize + 1))
}

fn add_bytes(counts: &mut [u64], column: &[u8], offsets: &[usize]) {
    for offset in offsets {
        // What a chunk does not have is of nobody.
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

/// The `limit` largest, ties by `order`; without the first, which is of nobody. Names are compared only where they
/// decide.
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
    fn the_largest_come_first_and_ties_by_name() {
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
    fn a_sample_is_scaled_up_and_tells_its_error() {
        let mut sample = Counts::of(4);
        sample.groups[2] = 25;
        let told = sample.told(&kept(), 300, 10);
        assert_eq!((told.users, told.groups), (300, vec![(1, 100)]));
        assert_eq!(told.relative_error, Some((3.0_f64 / 300.0).sqrt()));
        assert_eq!(Counts::of(PARTITIONS).told(&kept(), 300, 10).relative_error, None);
    }

    fn kept() -> Kept {
        Kept::default()
    }
}
