//! Whose numbers were seen in a bucket.

use std::sync::Arc;

use roaring::RoaringBitmap;

use super::{
    attributes::Dimension,
    encoding::{Malformed, Reader, push_varint},
};

const VERSION: u8 = 1;
const WHAT: &str = "a set of people";
/// Before a bitmap of its own; a smaller number is the slot that has the same.
const OWN: u8 = 0xff;

/// The people, and the members of the groups of each dimension.
pub const SLOTS: usize = 1 + Dimension::ALL.len();
/// Where the people's own numbers are; each dimension comes behind, in the order of [`Dimension::ALL`].
pub const USERS: usize = 0;

/// In the first slot the own numbers of everybody who was seen; in each other slot, for every person and every value
/// of the dimension that was told, the number that stands for this person with this value: the person's own for the
/// first value that was ever told, an alias for others.
///
/// Usually everybody is seen with the first value, and all slots are the same set, which is then there once.
#[derive(Clone, Debug)]
pub struct Sets([Arc<RoaringBitmap>; SLOTS]);

impl Default for Sets {
    fn default() -> Self {
        let nobody = Arc::new(RoaringBitmap::new());
        Self(std::array::from_fn(|_| Arc::clone(&nobody)))
    }
}

impl Sets {
    /// The numbers of each slot, in any order.
    #[must_use]
    pub fn of(mut numbers: [Vec<u32>; SLOTS]) -> Self {
        for numbers in &mut numbers {
            numbers.sort_unstable();
            numbers.dedup();
        }
        let mut slots: Vec<Arc<RoaringBitmap>> = Vec::with_capacity(SLOTS);
        for slot in 0..SLOTS {
            let same = (0..slot).find(|earlier| numbers[*earlier] == numbers[slot]);
            slots.push(match same {
                Some(earlier) => Arc::clone(&slots[earlier]),
                None => Arc::new(numbers[slot].iter().copied().collect()),
            });
        }
        Self(slots.try_into().expect("there is one for each slot"))
    }

    #[must_use]
    pub fn slot(&self, slot: usize) -> &RoaringBitmap {
        &self.0[slot]
    }

    /// The numbers of one dimension.
    #[must_use]
    pub fn dimension(&self, dimension: Dimension) -> &RoaringBitmap {
        self.slot(dimension as usize + 1)
    }

    /// Whether two slots share one set.
    #[must_use]
    pub fn is_same(&self, slot: usize, other: usize) -> bool {
        Arc::ptr_eq(&self.0[slot], &self.0[other])
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|slot| slot.is_empty())
    }

    /// Adds everybody of another bucket. Slots that are the same in both stay the same.
    pub fn unite(&mut self, other: &Self) {
        let mut before = std::mem::take(self).0.map(Some);
        let pair = |before: &[Option<Arc<RoaringBitmap>>; SLOTS], slot: usize| {
            (before[slot].as_ref().map(Arc::as_ptr), Arc::as_ptr(&other.0[slot]))
        };
        for slot in 0..SLOTS {
            let own = pair(&before, slot);
            if before[slot].is_none() {
                continue;
            }
            let alike: Vec<usize> = (slot..SLOTS).filter(|later| pair(&before, *later) == own).collect();
            let mut taken = alike.iter().filter_map(|alike| before[*alike].take());
            let Some(mut united) = taken.next() else { continue };
            // The others go, so that the bitmap is changed in place where nobody else has it.
            taken.for_each(drop);
            if own.0 != Some(own.1) {
                *Arc::make_mut(&mut united) |= &*other.0[slot];
            }
            alike.into_iter().for_each(|alike| self.0[alike] = Arc::clone(&united));
        }
    }

    /// Takes numbers out of every slot.
    pub fn remove(&mut self, numbers: &RoaringBitmap) {
        self.0 = std::mem::take(self).0.map(|mut slot| {
            if !slot.is_disjoint(numbers) {
                *Arc::make_mut(&mut slot) -= numbers;
            }
            slot
        });
    }

    #[must_use]
    pub fn to_blob(&self) -> Vec<u8> {
        let mut blob = vec![VERSION];
        for slot in 0..SLOTS {
            let same = |earlier: &usize| self.is_same(*earlier, slot) || self.0[*earlier] == self.0[slot];
            match (0..slot).find(same) {
                Some(earlier) => blob.push(earlier as u8),
                None => {
                    blob.push(OWN);
                    let mut packed = (*self.0[slot]).clone();
                    packed.optimize();
                    push_varint(&mut blob, packed.serialized_size() as u64);
                    packed.serialize_into(&mut blob).expect("writing into memory does not fail");
                }
            }
        }
        blob
    }

    /// # Errors
    /// It is damaged, or of a newer build.
    pub fn read(blob: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(blob, VERSION, WHAT)?;
        let mut slots: Vec<Arc<RoaringBitmap>> = Vec::with_capacity(SLOTS);
        for _ in 0..SLOTS {
            let slot = match reader.byte()? {
                OWN => Arc::new(bitmap(&mut reader)?),
                earlier => Arc::clone(slots.get(usize::from(earlier)).ok_or(reader.malformed())?),
            };
            slots.push(slot);
        }
        slots.try_into().map(Self).map_err(|_| reader.malformed())
    }
}

impl PartialEq for Sets {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

fn bitmap(reader: &mut Reader<'_>) -> Result<RoaringBitmap, Malformed> {
    let malformed = reader.malformed();
    let length = usize::try_from(reader.varint()?).map_err(|_| malformed)?;
    let packed = reader.take(length)?;
    let mut bitmap = RoaringBitmap::deserialize_from(packed).map_err(|_| malformed)?;
    // Uniting runs with anything moves all that is behind each number that is put in.
    bitmap.remove_run_compression();
    Ok(bitmap)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sets(numbers: [&[u32]; SLOTS]) -> Sets {
        Sets::of(numbers.map(<[u32]>::to_vec))
    }

    fn numbers(sets: &Sets) -> [Vec<u32>; SLOTS] {
        std::array::from_fn(|slot| sets.slot(slot).iter().collect())
    }

    #[test]
    fn equal_slots_are_written_once() {
        let many: Vec<u32> = (0..10_000).map(|number| number * 7).collect();
        let same = Sets::of(std::array::from_fn(|_| many.clone()));
        let mut other: [Vec<u32>; SLOTS] = std::array::from_fn(|_| many.clone());
        other[3].push(5);
        let other = Sets::of(other);
        for sets in [&same, &other, &Sets::default()] {
            assert_eq!(Sets::read(&sets.to_blob()).unwrap(), *sets);
        }
        assert!(other.to_blob().len() > same.to_blob().len() * 19 / 10);
        let read = Sets::read(&other.to_blob()).unwrap();
        assert!(read.is_same(USERS, 4) && !read.is_same(USERS, 3));
    }

    #[test]
    fn a_union_is_of_each_slot_and_keeps_same_what_is_the_same() {
        let mut united = Sets::default();
        united.unite(&sets([&[1, 2], &[1, 2], &[1, 2], &[1, 9], &[]]));
        united.unite(&sets([&[3], &[3], &[3, 7], &[3], &[]]));
        let expected = [&[1, 2, 3][..], &[1, 2, 3], &[1, 2, 3, 7], &[1, 3, 9], &[]];
        assert_eq!(numbers(&united), expected.map(<[u32]>::to_vec));
        assert!(united.is_same(USERS, 1) && !united.is_same(USERS, 2) && !united.is_same(USERS, 4));
        let copy = united.clone();
        united.unite(&copy);
        assert_eq!(united, copy);
        united.unite(&sets([&[8], &[8], &[8], &[8], &[]]));
        assert!(!copy.slot(USERS).contains(8), "a copy is its own");
    }

    #[test]
    fn removed_numbers_are_in_no_slot() {
        let mut sets = sets([&[1, 2], &[1, 2], &[1, 2], &[1, 9], &[]]);
        sets.remove(&RoaringBitmap::from([2, 9]));
        assert_eq!(numbers(&sets), [&[1][..], &[1], &[1], &[1], &[]].map(<[u32]>::to_vec));
    }

    #[test]
    fn runs_are_written_and_not_kept() {
        let everybody: Vec<u32> = (0..100_000).collect();
        let blob = Sets::of(std::array::from_fn(|_| everybody.clone())).to_blob();
        assert!(blob.len() < 100, "{}", blob.len());
        let read = Sets::read(&blob).unwrap();
        assert_eq!(read.slot(USERS).statistics().n_run_containers, 0);
        assert_eq!(read.slot(USERS).len(), 100_000);
    }

    #[test]
    fn a_damaged_set_is_told() {
        let blob = sets([&[1, 2], &[1, 2], &[1, 2], &[1, 9], &[]]).to_blob();
        for length in 0..blob.len() {
            assert!(Sets::read(&blob[..length]).is_err(), "{length}");
        }
    }
}
