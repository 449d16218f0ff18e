//! Names of places, each once, by a number that is small enough to be kept for millions of people.

use hashbrown::{DefaultHashBuilder, HashTable, hash_table::Entry};
use std::hash::BuildHasher as _;

/// Names with what they are names of: a country's own number before a city.
#[derive(Debug, Default)]
pub(super) struct Names {
    text: String,
    ends: Vec<u32>,
    within: Vec<u32>,
    /// With half of each hash, so that looking for a name and making room read no other name.
    numbers: HashTable<(u32, u32)>,
    hasher: DefaultHashBuilder,
}

impl Names {
    /// The number of a name, counted from 1; a new one where it was not known.
    pub(super) fn number(&mut self, within: u32, name: &str) -> u32 {
        let Self { text, ends, within: all_within, numbers, hasher } = self;
        let hash = hasher.hash_one((within, name)) as u32;
        let is_it = |(known, number): &(u32, u32)| {
            *known == hash && all_within[*number as usize - 1] == within && told(text, ends, *number) == name
        };
        match numbers.entry(spread(hash), is_it, |(known, _)| spread(*known)) {
            Entry::Occupied(known) => known.get().1,
            Entry::Vacant(place) => {
                let number = ends.len() as u32 + 1;
                place.insert((hash, number));
                text.push_str(name);
                ends.push(u32::try_from(text.len()).unwrap_or(u32::MAX));
                all_within.push(within);
                number
            }
        }
    }

    pub(super) fn name(&self, number: u32) -> &str {
        told(&self.text, &self.ends, number)
    }

    /// What a name is a name of.
    pub(super) fn within(&self, number: u32) -> u32 {
        self.within[number as usize - 1]
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// What it takes in memory, roughly.
    pub(super) fn bytes(&self) -> usize {
        /// A number and its tag.
        const OF_TABLE: usize = size_of::<(u32, u32)>() + 1;
        self.text.capacity()
            + (self.ends.capacity() + self.within.capacity()) * size_of::<u32>()
            + self.numbers.capacity() * OF_TABLE * 8 / 7
    }
}

/// A hash for the table, which looks at both ends of one.
fn spread(hash: u32) -> u64 {
    /// 2^64 divided by the golden ratio.
    const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
    u64::from(hash).wrapping_mul(GOLDEN)
}

fn told<'a>(text: &'a str, ends: &[u32], number: u32) -> &'a str {
    let place = number as usize - 1;
    let start = place.checked_sub(1).map_or(0, |before| ends[before]);
    &text[start as usize..ends[place] as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_number_within_its_country() {
        let mut names = Names::default();
        let numbers =
            [(1, "Man"), (2, "Man"), (1, "Man"), (1, "Ica")].map(|(within, name)| names.number(within, name));
        assert_eq!(numbers, [1, 2, 1, 3]);
        assert_eq!((names.name(2), names.within(2), names.name(3), names.len()), ("Man", 2, "Ica", 3));
        for number in 0..5_000 {
            assert_eq!(names.number(9, &number.to_string()), number + 4);
        }
        assert_eq!((names.number(1, "Ica"), names.name(4), names.name(5_003)), (3, "0", "4999"));
    }
}
