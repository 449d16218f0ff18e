//! An interner of place names: each name once, by a number that is small enough to be kept for millions of people.

use std::hash::BuildHasher as _;

use hashbrown::{DefaultHashBuilder, HashTable, hash_table::Entry};

/// Names within a parent: the parent of a city is the number of its country, countries have the parent 0.
#[derive(Debug, Default)]
pub(super) struct Interner {
    text: String,
    ends: Vec<u32>,
    parents: Vec<u32>,
    /// Half of each name's hash and its number: a lookup and a growth of the table read no other name.
    numbers: HashTable<(u32, u32)>,
    hasher: DefaultHashBuilder,
}

impl Interner {
    /// The number of a name, counted from 1; a new number where the name is new.
    pub(super) fn intern(&mut self, parent: u32, name: &str) -> u32 {
        let Self { text, ends, parents, numbers, hasher } = self;
        let hash = hasher.hash_one((parent, name)) as u32;
        let is_it = |(known, number): &(u32, u32)| {
            *known == hash && parents[*number as usize - 1] == parent && name_at(text, ends, *number) == name
        };
        match numbers.entry(spread(hash), is_it, |(known, _)| spread(*known)) {
            Entry::Occupied(known) => known.get().1,
            Entry::Vacant(place) => {
                let number = ends.len() as u32 + 1;
                place.insert((hash, number));
                text.push_str(name);
                ends.push(u32::try_from(text.len()).unwrap_or(u32::MAX));
                parents.push(parent);
                number
            }
        }
    }

    pub(super) fn name(&self, number: u32) -> &str {
        name_at(&self.text, &self.ends, number)
    }

    /// The parent of a name.
    pub(super) fn parent(&self, number: u32) -> u32 {
        self.parents[number as usize - 1]
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The memory that it takes, roughly, in bytes.
    pub(super) fn bytes(&self) -> usize {
        /// Bytes of an entry and its tag.
        const OF_TABLE: usize = size_of::<(u32, u32)>() + 1;
        self.text.capacity()
            + (self.ends.capacity() + self.parents.capacity()) * size_of::<u32>()
            + self.numbers.capacity() * OF_TABLE * 8 / 7
    }
}

/// A hash for the table, which uses both ends of the 64 bits.
fn spread(hash: u32) -> u64 {
    /// 2^64 divided by the golden ratio.
    const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
    u64::from(hash).wrapping_mul(GOLDEN)
}

fn name_at<'a>(text: &'a str, ends: &[u32], number: u32) -> &'a str {
    let index = number as usize - 1;
    let start = index.checked_sub(1).map_or(0, |before| ends[before]);
    &text[start as usize..ends[index] as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_number_within_its_country() {
        let mut names = Interner::default();
        let numbers =
            [(1, "Man"), (2, "Man"), (1, "Man"), (1, "Ica")].map(|(parent, name)| names.intern(parent, name));
        assert_eq!(numbers, [1, 2, 1, 3]);
        assert_eq!((names.name(2), names.parent(2), names.name(3), names.len()), ("Man", 2, "Ica", 3));
        for number in 0..5_000 {
            assert_eq!(names.intern(9, &number.to_string()), number + 4);
        }
        assert_eq!((names.intern(1, "Ica"), names.name(4), names.name(5_003)), (3, "0", "4999"));
    }
}
