//! Identities that stand in one body more than once: the lowest index stays, the further ones are only counted.

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasher as _, RandomState},
};

use weir_event::{ItemIdentity, Source, admit_bytes};

use super::batch::Batch;

/// No event is shorter: an item below is not worth remembering, so that a body of many tiny items stays cheap.
const SHORTEST_EVENT: usize = 128;

/// Items by the source that they name; `None` where they name none that exists.
pub(super) type BySource = [(Option<Source>, u64); 3];

/// What is known of all items before the first one is checked.
#[derive(Debug, Default)]
pub(super) struct Census {
    facebook: u64,
    tiktok: u64,
    unknown: u64,
    hasher: RandomState,
    claimed: HashSet<u64>,
    /// Hashes of identities that are claimed at least twice, or seem to be.
    claimed_again: HashSet<u64>,
}

/// The events that stand in a body again.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    /// Indexes that are not sent.
    further: HashSet<u64>,
    /// How many further ones an index stands for.
    counts: HashMap<u64, u32>,
}

impl Census {
    /// Counts one more item; `None` is a line that is no text.
    pub(super) fn with(mut self, item: Option<&str>) -> Self {
        let claim = item.and_then(ItemIdentity::read);
        match claim.as_ref().and_then(ItemIdentity::source) {
            Some(Source::Facebook) => self.facebook += 1,
            Some(Source::Tiktok) => self.tiktok += 1,
            None => self.unknown += 1,
        }
        if let Some(hash) = self.hash(item, claim.as_ref())
            && !self.claimed.insert(hash)
        {
            self.claimed_again.insert(hash);
        }
        self
    }

    pub(super) fn named(&self) -> BySource {
        [(Some(Source::Facebook), self.facebook), (Some(Source::Tiktok), self.tiktok), (None, self.unknown)]
    }

    /// The hash is keyed at random, so that nobody can make many identities collide.
    fn hash(&self, item: Option<&str>, claim: Option<&ItemIdentity<'_>>) -> Option<u64> {
        let claim = claim.filter(|_| item.is_some_and(|item| item.len() >= SHORTEST_EVENT))?;
        Some(self.hasher.hash_one((claim.source()?, claim.event_id()?)))
    }
}

impl Repeats {
    /// Looks at the few items whose hash stands there twice: what counts is the identity itself, and only of events
    /// that pass the gate. A bad item repeats nothing.
    pub(super) fn find(batch: &Batch, census: &Census) -> Self {
        let mut repeats = Self::default();
        if census.claimed_again.is_empty() {
            return repeats;
        }
        let mut first: HashMap<(Source, String), u64> = HashMap::new();
        let mut cursor = batch.cursor();
        while let Some(item) = batch.next(&mut cursor) {
            let hash = census.hash(item.text, item.text.and_then(ItemIdentity::read).as_ref());
            if !hash.is_some_and(|hash| census.claimed_again.contains(&hash)) {
                continue;
            }
            if let Ok(event) = admit_bytes(item.raw, batch.arrived_at) {
                let identity = (event.source(), event.id().to_owned());
                let lowest = *first.entry(identity).or_insert(item.index);
                if lowest != item.index {
                    repeats.further.insert(item.index);
                    *repeats.counts.entry(lowest).or_default() += 1;
                }
            }
        }
        repeats
    }

    /// Whether the item repeats one before it.
    pub(super) fn is_further(&self, index: u64) -> bool {
        self.further.contains(&index)
    }

    /// How many items after it repeat this one.
    pub(super) fn of(&self, index: u64) -> u32 {
        self.counts.get(&index).copied().unwrap_or_default()
    }
}
