//! Lookup of duplicates before a copy: the policy, and the ids of recent events.
//!
//! `COPY` has no `ON CONFLICT`, and it is the fastest way into PostgreSQL. Most transactions have new events alone, so
//! that by default no event is looked up. A transaction that meets a duplicate is repeated after a look at all of its
//! events. Duplicates tend to be followed by more. So for a while after one, events that came recently are looked up;
//! and all events, where the recent ids missed one.

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use crate::store::row::{EventIdentity, Row};

/// Inserts with a look at all events after a missed duplicate. After 16 inserts without a miss the recent ids are
/// enough: one miss in 16 inserts means that 1/16 of the inserts are repeated.
const INSERTS_LOOKING_AT_ALL: u32 = 16;
/// Inserts with a look at recent events after the last duplicate. A look costs some hundredths of an insert.
const INSERTS_LOOKING_AT_RECENT: u32 = 1_024;

/// With [`IDS_PER_BUCKET`], 8 MiB: of the last quarter of a million events hardly one is forgotten, of the last two
/// million half.
const BUCKETS: usize = 256 * 1024;
/// The last events of each bucket are remembered.
const IDS_PER_BUCKET: usize = 8;

/// The lookup of one store. Cheap to clone; clones share one policy and one set of ids.
#[derive(Clone, Debug, Default)]
pub(in crate::store) struct DuplicateLookup {
    policy: LookupPolicy,
    recent: RecentIds,
}

/// The rows that the next insert looks up.
#[derive(Clone, Debug)]
pub(super) struct RowsToLookUp<'r, 'a> {
    pub(super) rows: Vec<&'r Row<'a>>,
    /// Those of them that may be of recent events.
    recent: Vec<&'r Row<'a>>,
}

impl DuplicateLookup {
    /// Chooses the rows that the next insert looks up. Call it once for each insert.
    pub(super) fn next<'r, 'a>(&self, rows: &'r [Row<'a>]) -> RowsToLookUp<'r, 'a> {
        let scope = self.policy.next();
        let recent = if scope == LookupScope::Nothing { Vec::new() } else { self.recent.remember(rows) };
        let rows = if scope == LookupScope::All { rows.iter().collect() } else { recent.clone() };
        RowsToLookUp { rows, recent }
    }

    /// Learns from the duplicates that the insert found.
    pub(super) fn note_found(&self, looked_up: &RowsToLookUp<'_, '_>, is_stored: impl Fn(&Row<'_>) -> bool) {
        let found = looked_up.rows.iter().filter(|row| is_stored(row)).count();
        let found_by_recent = looked_up.recent.iter().filter(|row| is_stored(row)).count();
        if found_by_recent < found {
            self.policy.note_missed();
        } else if found_by_recent > 0 {
            self.policy.note_found();
        }
    }

    /// Learns that the insert met a duplicate that it had not looked up.
    pub(super) fn note_missed(&self) {
        self.policy.note_missed();
    }
}

/// The scope of one lookup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LookupScope {
    Nothing,
    /// Events that came recently.
    Recent,
    All,
}

/// The number of inserts since the last missed duplicate. All clones share one policy.
#[derive(Clone, Debug)]
struct LookupPolicy(Arc<AtomicU32>);

impl Default for LookupPolicy {
    fn default() -> Self {
        Self(Arc::new(AtomicU32::new(INSERTS_LOOKING_AT_RECENT)))
    }
}

impl LookupPolicy {
    fn next(&self) -> LookupScope {
        let next = |inserts: u32| Some(inserts.saturating_add(1));
        match self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next) {
            Ok(..INSERTS_LOOKING_AT_ALL) => LookupScope::All,
            Ok(..INSERTS_LOOKING_AT_RECENT) => LookupScope::Recent,
            _ => LookupScope::Nothing,
        }
    }

    /// Notes a duplicate that a look at recent events has missed, or would have.
    fn note_missed(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// Notes a duplicate among the recent events.
    fn note_found(&self) {
        self.0.fetch_min(INSERTS_LOOKING_AT_ALL, Ordering::Relaxed);
    }
}

/// The ids of the events that came to this process recently. Senders repeat themselves within minutes, if at all. All
/// clones share one set.
#[derive(Clone, Debug, Default)]
struct RecentIds(Arc<Mutex<HashedIds>>);

/// One half of an id's hash chooses the bucket; the bucket keeps the other half. So an event is hardly ever taken for
/// another one, which would only cost a lookup in vain.
#[derive(Debug)]
struct HashedIds {
    buckets: Vec<[u32; IDS_PER_BUCKET]>,
    hasher: RandomState,
}

impl RecentIds {
    /// Remembers all rows, and returns those that were remembered before. Rows of a transaction that fails stay
    /// remembered, which only costs a lookup.
    fn remember<'r, 'a>(&self, rows: &'r [Row<'a>]) -> Vec<&'r Row<'a>> {
        let mut ids = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rows.iter().filter(|row| ids.insert(row.identity())).collect()
    }
}

impl Default for HashedIds {
    fn default() -> Self {
        Self::new(BUCKETS)
    }
}

impl HashedIds {
    fn new(buckets: usize) -> Self {
        Self { buckets: vec![[0; IDS_PER_BUCKET]; buckets], hasher: RandomState::new() }
    }

    /// Returns true where the id was there before.
    fn insert(&mut self, identity: EventIdentity<'_>) -> bool {
        let hash = self.hasher.hash_one(identity);
        let bucket = hash as usize % self.buckets.len();
        let bucket = &mut self.buckets[bucket];
        let kept = (hash >> u32::BITS) as u32;
        let was_there = bucket.contains(&kept);
        if !was_there {
            bucket.rotate_right(1);
            bucket[0] = kept;
        }
        was_there
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scopes(policy: &LookupPolicy, inserts: u32) -> Vec<LookupScope> {
        let mut scopes: Vec<LookupScope> = (0..inserts).map(|_| policy.next()).collect();
        scopes.dedup();
        scopes
    }

    #[test]
    fn a_missed_duplicate_has_all_events_looked_up_for_a_while_and_recent_ones_for_longer() {
        let policy = LookupPolicy::default();
        assert_eq!(scopes(&policy, 3), [LookupScope::Nothing]);
        policy.clone().note_missed();
        assert_eq!(scopes(&policy, INSERTS_LOOKING_AT_ALL), [LookupScope::All]);
        let further = INSERTS_LOOKING_AT_RECENT - INSERTS_LOOKING_AT_ALL;
        assert_eq!(scopes(&policy, further), [LookupScope::Recent]);
        assert_eq!(scopes(&policy, 3), [LookupScope::Nothing]);
    }

    #[test]
    fn a_found_duplicate_prolongs_the_look_at_recent_events_alone() {
        let policy = LookupPolicy::default();
        policy.note_missed();
        assert_eq!(scopes(&policy, INSERTS_LOOKING_AT_ALL - 1), [LookupScope::All]);
        policy.note_found();
        assert_eq!(scopes(&policy, 1), [LookupScope::All]);
        assert_eq!(scopes(&policy, 100), [LookupScope::Recent]);
        policy.note_found();
        let further = INSERTS_LOOKING_AT_RECENT - INSERTS_LOOKING_AT_ALL;
        assert_eq!(scopes(&policy, further), [LookupScope::Recent]);
        assert_eq!(scopes(&policy, 1), [LookupScope::Nothing]);
    }

    #[test]
    fn recent_ids_are_remembered_and_old_ones_forgotten() {
        let mut ids = HashedIds::new(1_024);
        let total = 4 * 1_024 * IDS_PER_BUCKET;
        let mut known = |numbers: std::ops::Range<usize>| {
            numbers.filter(|number| ids.insert((1, &format!("e-{number}")))).count()
        };
        // Hardly any two ids share a hash.
        assert!(known(0..total) < 10);
        assert!(known(total - 500..total) >= 499);
        assert!(known(0..500) < 10);
        assert!(!ids.insert((2, &format!("e-{}", total - 1))));
    }

    #[test]
    fn clones_share_their_recent_ids() {
        let recent = RecentIds::default();
        let row = |event_id| Row { source: 1, event_id, ..Row::default() };
        assert!(recent.clone().remember(&[row("a")]).is_empty());
        let rows = [row("a"), row("b")];
        let known: Vec<&str> = recent.remember(&rows).iter().map(|row| row.event_id).collect();
        assert_eq!(known, ["a"]);
    }
}
