//! Filters of closed segments of `events`: which ids a segment has for certain not. A Bloom filter of the ids of one
//! source, in parts that `segment_filters` holds.
//!
//! The first part begins with the version, the number of hashes, the number of ids, the number of words and a checksum.
//! The words of all parts together are the filter's bits, each word in little-endian order.

use fastbloom::BloomFilter;
use sha2::{Digest as _, Sha256};

use crate::{
    MalformedBlob,
    blob::{BlobReader, push_varint},
    event_key::EventKey,
    id_code::IdCode,
};

/// Raise it also where another release of `fastbloom` places its bits elsewhere: a test holds the places.
const VERSION: u8 = 1;
const NAME: &str = "a filter of a segment";
/// One id in a hundred that is not there may seem to be.
const BITS_PER_ID: u64 = 10;
const HASHES: u32 = 7;
const CHECKSUM: usize = 8;
/// Words of one part: 512 KiB.
const WORDS_PER_PART: usize = 64 * 1024;
/// The most words for which the first part alone makes room: 16 MiB. It may be damaged.
const MOST_RESERVED: usize = 2 * 1024 * 1024;

/// The ids of one source in one closed segment.
#[derive(Clone, Debug, PartialEq)]
pub struct SegmentFilter {
    bloom: BloomFilter,
    ids: u64,
}

/// The segment and the source that a filter is of. The checksum covers them: a filter in the place of another one would
/// let duplicates in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FilterOwner {
    /// The segment's number.
    pub segment: i32,
    /// `weir.event.v1.Source`.
    pub source: i16,
}

/// The hash of an id in every filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FilterHash(u64);

impl FilterHash {
    #[must_use]
    pub fn of(event_id: &str) -> Self {
        Self::of_key(&EventKey::of_code(&IdCode::of(event_id)))
    }

    /// The hash of an id by the key of its code: the first eight bytes of the key.
    #[must_use]
    pub fn of_key(EventKey(key): &EventKey) -> Self {
        Self(u64::from_le_bytes(std::array::from_fn(|index| key[index])))
    }
}

impl SegmentFilter {
    /// An empty filter with room for so many ids. More of them make it less sharp.
    #[must_use]
    pub fn with_room(ids: u64) -> Self {
        let bits = usize::try_from(ids.saturating_mul(BITS_PER_ID)).unwrap_or(usize::MAX);
        Self { bloom: BloomFilter::with_num_bits(bits.max(64)).hashes(HASHES), ids: 0 }
    }

    /// Adds an id that was not added before.
    pub fn insert(&mut self, hash: FilterHash) {
        self.bloom.insert_hash(hash.0);
        self.ids += 1;
    }

    /// Whether the segment may have the id; false is certain.
    #[must_use]
    pub fn may_have(&self, hash: FilterHash) -> bool {
        self.bloom.contains_hash(hash.0)
    }

    /// The number of ids that were added.
    #[must_use]
    pub fn ids(&self) -> u64 {
        self.ids
    }

    /// The memory that the filter takes, in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        size_of_val(self.bloom.as_slice())
    }

    /// The parts to be stored, in their order. Each is made when it is asked for.
    pub fn parts(&self, owner: FilterOwner) -> impl Iterator<Item = Vec<u8>> {
        let words = self.bloom.as_slice();
        let mut head = vec![VERSION];
        push_varint(&mut head, HASHES.into());
        push_varint(&mut head, self.ids);
        push_varint(&mut head, words.len() as u64);
        let mut digest = begin_digest(owner);
        words.iter().for_each(|word| digest.update(word.to_le_bytes()));
        head.extend_from_slice(&checksum(digest));
        words.chunks(WORDS_PER_PART).map(move |words| {
            let mut part = std::mem::take(&mut head);
            part.extend(words.iter().flat_map(|word| word.to_le_bytes()));
            part
        })
    }
}

/// Reads a filter part by part, so that no more of it than one part is in memory twice.
#[derive(Debug)]
pub struct FilterReader {
    /// Of the bits so far.
    digest: Sha256,
    head: Option<Head>,
    words: Vec<u64>,
}

/// What the first part says before its bits.
#[derive(Clone, Copy, Debug)]
struct Head {
    ids: u64,
    words: u64,
    checksum: [u8; CHECKSUM],
}

impl FilterReader {
    /// A reader of the filter of this owner.
    #[must_use]
    pub fn of(owner: FilterOwner) -> Self {
        Self { digest: begin_digest(owner), head: None, words: Vec::new() }
    }

    /// Reads the next part.
    ///
    /// # Errors
    /// The part is none, is damaged, or is of a newer build.
    pub fn read(&mut self, part: &[u8]) -> Result<(), MalformedBlob> {
        let mut bits = part;
        if self.head.is_none() {
            let mut reader = BlobReader::new(part, VERSION, NAME)?;
            let hashes = reader.varint()?;
            let head = Head { ids: reader.varint()?, words: reader.varint()?, checksum: reader.array()? };
            if hashes != u64::from(HASHES) {
                return Err(MalformedBlob(NAME));
            }
            self.words.reserve_exact(usize::try_from(head.words).map_or(0, |words| words.min(MOST_RESERVED)));
            self.head = Some(head);
            bits = reader.rest();
        }
        let (words, cut) = bits.as_chunks();
        if !cut.is_empty() {
            return Err(MalformedBlob(NAME));
        }
        self.digest.update(bits);
        self.words.extend(words.iter().map(|word| u64::from_le_bytes(*word)));
        Ok(())
    }

    /// The filter, after its last part.
    ///
    /// # Errors
    /// The parts are not all of one filter of this owner, or damaged. No answer of such a filter may be trusted.
    pub fn finish(self) -> Result<SegmentFilter, MalformedBlob> {
        let Self { digest, head: Some(head), words } = self else { return Err(MalformedBlob(NAME)) };
        if words.is_empty() || words.len() as u64 != head.words || checksum(digest) != head.checksum {
            return Err(MalformedBlob(NAME));
        }
        Ok(SegmentFilter { bloom: BloomFilter::from_vec(words).hashes(HASHES), ids: head.ids })
    }
}

fn begin_digest(FilterOwner { segment, source }: FilterOwner) -> Sha256 {
    Sha256::new().chain_update(segment.to_le_bytes()).chain_update(source.to_le_bytes())
}

fn checksum(digest: Sha256) -> [u8; CHECKSUM] {
    let digest = digest.finalize();
    std::array::from_fn(|index| digest[index])
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWNER: FilterOwner = FilterOwner { segment: 7, source: 1 };

    fn read(owner: FilterOwner, parts: &[Vec<u8>]) -> Result<SegmentFilter, MalformedBlob> {
        let mut reader = FilterReader::of(owner);
        parts.iter().try_for_each(|part| reader.read(part))?;
        reader.finish()
    }

    fn parts(ids: u64) -> Vec<Vec<u8>> {
        filter(ids).parts(OWNER).collect()
    }

    fn filter(ids: u64) -> SegmentFilter {
        let mut filter = SegmentFilter::with_room(ids);
        (0..ids).for_each(|number| filter.insert(FilterHash::of(&format!("e-{number}"))));
        filter
    }

    #[test]
    fn a_filter_has_every_id_and_few_others_also_after_it_was_stored() {
        let ids = 500_000;
        let parts = parts(ids);
        assert_eq!(parts.len(), 2);
        let stored = read(OWNER, &parts).unwrap();
        assert_eq!(stored.ids(), ids);
        let may_have = |number: &u64| stored.may_have(FilterHash::of(&format!("e-{number}")));
        assert!((0..ids).all(|number| may_have(&number)));
        let others = (ids..2 * ids).filter(may_have).count();
        assert!(others < 7_500, "{others}");
    }

    #[test]
    fn parts_that_are_damaged_missing_or_mixed_up_are_refused() {
        let parts = parts(500_000);
        let damaged = |damage: fn(&mut Vec<Vec<u8>>)| {
            let mut parts = parts.clone();
            damage(&mut parts);
            read(OWNER, &parts).unwrap_err()
        };
        for owner in [FilterOwner { segment: 8, ..OWNER }, FilterOwner { source: 2, ..OWNER }] {
            read(owner, &parts).unwrap_err();
        }
        damaged(|parts| drop(parts.pop()));
        damaged(|parts| parts.reverse());
        damaged(|parts| parts[1][77] ^= 1);
        damaged(|parts| parts[0][0] = VERSION + 1);
        damaged(|parts| parts.clear());
        damaged(|parts| parts[1].truncate(13));
    }

    /// A filter that another build reads elsewhere would let a duplicate in.
    #[test]
    fn bits_stand_where_the_stored_filters_of_earlier_builds_have_them() {
        let parts = parts(6);
        let bits = &parts[0][parts[0].len() - 8..];
        assert_eq!(u64::from_le_bytes(bits.try_into().unwrap()), 8_749_970_224_932_783_944);
    }

    #[test]
    fn an_empty_filter_has_no_id() {
        let filter = read(OWNER, &parts(0)).unwrap();
        assert!(!filter.may_have(FilterHash::of("e")));
    }
}
