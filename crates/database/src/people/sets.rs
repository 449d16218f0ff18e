//! Sets of people: the numbers that were seen in a bucket.

use std::sync::Arc;

use roaring::RoaringBitmap;

use super::attributes::Dimension;
use crate::blob::{BlobReader, MalformedBlob, push_varint};

const VERSION: u8 = 1;
const NAME: &str = "a set of people";
/// Precedes a bitmap. A smaller byte is the index of an earlier slot with the same bitmap.
const BITMAP: u8 = 0xff;

/// Slots of a set: the people, and the members of each dimension's groups.
pub const SLOTS: usize = 1 + Dimension::ALL.len();
/// The slot of the people's own numbers. The slots of the dimensions follow, in the order of [`Dimension::ALL`].
pub const USERS: usize = 0;

/// The people of one bucket. The first slot has each person's own number. The slot of a dimension has one number for
/// each person and value: the person's own number for the first value ever seen, an alias for each further one.
///
/// Usually all people are seen with their first value. Then all slots have equal sets, which are kept once.
#[derive(Clone, Debug)]
pub struct Sets([Arc<RoaringBitmap>; SLOTS]);

impl Default for Sets {
    fn default() -> Self {
        let empty = Arc::new(RoaringBitmap::new());
        Self(std::array::from_fn(|_| Arc::clone(&empty)))
    }
}

impl Sets {
    /// Sets of the numbers of each slot, which may be in any order.
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

    /// Whether two slots share one bitmap.
    #[must_use]
    pub fn is_same(&self, slot: usize, other: usize) -> bool {
        Arc::ptr_eq(&self.0[slot], &self.0[other])
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|slot| slot.is_empty())
    }

    /// Adds the people of another bucket. Slots that share a bitmap in both share one afterwards.
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
            // Dropping the others lets the bitmap change in place where no other set shares it.
            taken.for_each(drop);
            if own.0 != Some(own.1) {
                *Arc::make_mut(&mut united) |= &*other.0[slot];
            }
            alike.into_iter().for_each(|alike| self.0[alike] = Arc::clone(&united));
        }
    }

    /// Removes numbers from every slot.
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
                    blob.push(BITMAP);
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
    /// The blob is damaged, or a newer build wrote it.
    pub fn read(blob: &[u8]) -> Result<Self, MalformedBlob> {
        let mut reader = BlobReader::new(blob, VERSION, NAME)?;
        let mut slots: Vec<Arc<RoaringBitmap>> = Vec::with_capacity(SLOTS);
        for _ in 0..SLOTS {
            let slot = match reader.byte()? {
                BITMAP => Arc::new(bitmap(&mut reader)?),
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

fn bitmap(reader: &mut BlobReader<'_>) -> Result<RoaringBitmap, MalformedBlob> {
    let malformed = reader.malformed();
    let length = usize::try_from(reader.varint()?).map_err(|_| malformed)?;
    let packed = reader.take(length)?;
    let mut bitmap = RoaringBitmap::deserialize_from(packed).map_err(|_| malformed)?;
    // Inserting a number into runs moves all runs behind it: unions would be slow.
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
    fn a_union_unites_each_slot_and_keeps_shared_bitmaps() {
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
        assert!(!copy.slot(USERS).contains(8), "a clone does not change");
    }

    #[test]
    fn removed_numbers_are_in_no_slot() {
        let mut sets = sets([&[1, 2], &[1, 2], &[1, 2], &[1, 9], &[]]);
        sets.remove(&RoaringBitmap::from([2, 9]));
        assert_eq!(numbers(&sets), [&[1][..], &[1], &[1], &[1], &[]].map(<[u32]>::to_vec));
    }

    #[test]
    fn runs_are_written_and_expanded_when_read() {
        let all: Vec<u32> = (0..100_000).collect();
        let blob = Sets::of(std::array::from_fn(|_| all.clone())).to_blob();
        assert!(blob.len() < 100, "{}", blob.len());
        let read = Sets::read(&blob).unwrap();
        assert_eq!(read.slot(USERS).statistics().n_run_containers, 0);
        assert_eq!(read.slot(USERS).len(), 100_000);
    }

    #[test]
    fn a_damaged_set_is_malformed() {
        let blob = sets([&[1, 2], &[1, 2], &[1, 2], &[1, 9], &[]]).to_blob();
        for length in 0..blob.len() {
            assert!(Sets::read(&blob[..length]).is_err(), "{length}");
        }
    }
}
