//! The events that came lately to this process, so that those of them that come again are found without asking the
//! database for each event of a batch: senders repeat themselves within minutes, if at all.

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::{Arc, Mutex, PoisonError},
};

use crate::store::{keys::Identity, row::Row};

/// With [`WAYS`], 8 MiB: of the last quarter of a million events hardly one is forgotten, of the last two million half.
const BUCKETS: usize = 256 * 1024;
/// So many of the events that fall into one bucket are remembered, the last ones.
const WAYS: usize = 8;

/// Cheap to clone; every clone remembers for the others.
#[derive(Clone, Debug, Default)]
pub(in crate::store) struct Recent(Arc<Mutex<Memory>>);

/// Half of a hash finds the bucket and the other half is kept there, so that hardly an event is taken for another one:
/// that one is looked up in vain.
#[derive(Debug)]
struct Memory {
    buckets: Vec<[u32; WAYS]>,
    hasher: RandomState,
}

impl Recent {
    /// The rows that may be of events that came lately; all of them have come lately from now on. Also what is not
    /// committed in the end is remembered: that costs a lookup.
    pub(super) fn meet<'r, 'a>(&self, rows: &'r [Row<'a>]) -> Vec<&'r Row<'a>> {
        let mut memory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rows.iter().filter(|row| memory.meets_again(row.identity())).collect()
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new(BUCKETS)
    }
}

impl Memory {
    fn new(buckets: usize) -> Self {
        Self { buckets: vec![[0; WAYS]; buckets], hasher: RandomState::new() }
    }

    fn meets_again(&mut self, identity: Identity<'_>) -> bool {
        let hash = self.hasher.hash_one(identity);
        let bucket = hash as usize % self.buckets.len();
        let bucket = &mut self.buckets[bucket];
        let kept = (hash >> u32::BITS) as u32;
        let is_there = bucket.contains(&kept);
        if !is_there {
            bucket.rotate_right(1);
            bucket[0] = kept;
        }
        is_there
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_events_are_remembered_and_those_long_before_forgotten() {
        let mut memory = Memory::new(1_024);
        let total = 4 * 1_024 * WAYS;
        let mut met_again = |numbers: std::ops::Range<usize>| {
            numbers.filter(|number| memory.meets_again((1, &format!("e-{number}")))).count()
        };
        // Hardly any two share a hash.
        assert!(met_again(0..total) < 10);
        assert!(met_again(total - 500..total) >= 499);
        assert!(met_again(0..500) < 10);
        assert!(!memory.meets_again((2, &format!("e-{}", total - 1))));
    }

    #[test]
    fn clones_remember_for_each_other() {
        let recent = Recent::default();
        let row = |event_id| Row { source: 1, event_id, ..Row::default() };
        assert!(recent.clone().meet(&[row("a")]).is_empty());
        let rows = [row("a"), row("b")];
        let met: Vec<&str> = recent.meet(&rows).iter().map(|row| row.event_id).collect();
        assert_eq!(met, ["a"]);
    }
}
