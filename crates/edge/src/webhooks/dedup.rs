//! Repeated identities in one body: the edge sends the item with the lowest index, and counts the later ones.

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasher as _, RandomState},
};

use chrono::{DateTime, Utc};
use weir_event::{ItemIdentity, Source, admit_bytes};

use super::items::Items;

/// The size in bytes below which the scan skips an item: no event is shorter, and a body of many tiny items stays
/// cheap.
const MIN_EVENT_BYTES: usize = 128;

/// The number of items by their source; `None` counts items without a known source.
pub(super) type ItemsBySource = [(Option<Source>, u64); 3];

/// A scan of the identities of all items, before the gate checks the first one.
#[derive(Debug, Default)]
pub(super) struct IdentityScan {
    facebook: u64,
    tiktok: u64,
    unknown: u64,
    hasher: RandomState,
    hashes: HashSet<u64>,
    /// Hashes that at least two items have: of the same identity, or of two that collide.
    repeated_hashes: HashSet<u64>,
}

/// The repeated events of a body.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    /// Indexes of the later items, which the edge does not send.
    later: HashSet<u64>,
    /// The number of later items by the index of the first one.
    counts: HashMap<u64, u32>,
}

impl IdentityScan {
    /// Adds the next item; `None` is a line that is no UTF-8.
    pub(super) fn add(mut self, item: Option<&str>) -> Self {
        let identity = item.and_then(ItemIdentity::read);
        match identity.as_ref().and_then(ItemIdentity::source) {
            Some(Source::Facebook) => self.facebook += 1,
            Some(Source::Tiktok) => self.tiktok += 1,
            None => self.unknown += 1,
        }
        if let Some(hash) = self.hash(item, identity.as_ref())
            && !self.hashes.insert(hash)
        {
            self.repeated_hashes.insert(hash);
        }
        self
    }

    pub(super) fn items_by_source(&self) -> ItemsBySource {
        [(Some(Source::Facebook), self.facebook), (Some(Source::Tiktok), self.tiktok), (None, self.unknown)]
    }

    /// The hash of an identity. Its key is random, so that a sender can't choose identities that collide.
    fn hash(&self, item: Option<&str>, identity: Option<&ItemIdentity<'_>>) -> Option<u64> {
        let identity = identity.filter(|_| item.is_some_and(|item| item.len() >= MIN_EVENT_BYTES))?;
        Some(self.hasher.hash_one((identity.source()?, identity.event_id()?)))
    }
}

impl Repeats {
    /// Compares the identities of the few items whose hash occurs twice. Only items that pass the gate count: a bad
    /// item repeats no event.
    pub(super) fn find(items: &Items, scan: &IdentityScan, arrived_at: DateTime<Utc>) -> Self {
        let mut repeats = Self::default();
        if scan.repeated_hashes.is_empty() {
            return repeats;
        }
        let mut first: HashMap<(Source, String), u64> = HashMap::new();
        let mut cursor = items.cursor();
        while let Some(item) = items.next(&mut cursor) {
            let hash = scan.hash(item.text, item.text.and_then(ItemIdentity::read).as_ref());
            if !hash.is_some_and(|hash| scan.repeated_hashes.contains(&hash)) {
                continue;
            }
            if let Ok(event) = admit_bytes(item.raw, arrived_at) {
                let identity = (event.source(), event.id().to_owned());
                let lowest = *first.entry(identity).or_insert(item.index);
                if lowest != item.index {
                    repeats.later.insert(item.index);
                    *repeats.counts.entry(lowest).or_default() += 1;
                }
            }
        }
        repeats
    }

    /// Whether the item repeats an earlier one.
    pub(super) fn is_repeat(&self, index: u64) -> bool {
        self.later.contains(&index)
    }

    /// The number of later items that repeat this one.
    pub(super) fn count_of(&self, index: u64) -> u32 {
        self.counts.get(&index).copied().unwrap_or_default()
    }
}
