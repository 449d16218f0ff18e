//! Erased persons: the store keeps their events without them, whenever these arrive.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::row::Row;

/// Selects the key of [`PersonHasher`].
pub(super) const SELECT_KEY: &str = "SELECT key FROM erasure_keys WHERE number = 1";
/// Selects rows of [`ErasureRecord`].
pub(super) const SELECT_RECORDS: &str =
    "SELECT source, user_hash, suppress, requested_at, recorded_at FROM erasures";

/// Source, hash, whether the person is suppressed, when the erasure was requested and recorded (µs since the Unix
/// epoch).
pub(super) type ErasureRecord = (i16, Vec<u8>, bool, i64, i64);

/// HMAC-SHA256 of a person's id. Without the key, no trial of ids finds the erased persons.
pub(super) type PersonHash = [u8; 32];

/// The hasher of person ids, with the deployment's key.
#[derive(Clone, Debug)]
pub(super) struct PersonHasher(Hmac<Sha256>);

/// The erased persons; none by default.
#[derive(Clone, Debug, Default)]
pub struct ErasedPersons {
    /// The newest record among them, µs since the Unix epoch.
    newest: Option<i64>,
    hasher: Option<PersonHasher>,
    /// The latest arrival of an event that an erasure covers, µs since the Unix epoch, by source and person.
    until: HashMap<(i16, PersonHash), i64>,
}

/// The erased persons that this process has read. Cheap to clone; clones share one value.
#[derive(Clone, Debug, Default)]
pub(super) struct ErasedCache(Arc<Mutex<Arc<ErasedPersons>>>);

impl PersonHasher {
    pub(super) fn new(key: &[u8]) -> Self {
        Self(Hmac::new_from_slice(key).expect("HMAC takes keys of any length"))
    }

    pub(super) fn hash(&self, user_id: &str) -> PersonHash {
        self.0.clone().chain_update(user_id).finalize().into_bytes().into()
    }
}

impl ErasedPersons {
    pub(super) fn new(key: Option<Vec<u8>>, records: Vec<ErasureRecord>) -> Self {
        let newest = records.iter().map(|(.., recorded_at)| *recorded_at).max();
        let mut until = HashMap::with_capacity(records.len());
        for (source, hash, suppress, requested_at, _) in records {
            let Ok(hash) = PersonHash::try_from(hash) else { continue };
            let last: &mut i64 = until.entry((source, hash)).or_insert(requested_at);
            *last = (*last).max(if suppress { i64::MAX } else { requested_at });
        }
        Self { newest, hasher: key.as_deref().map(PersonHasher::new), until }
    }

    /// Whether an erasure covers an event of this person: the event is stored without the person. `arrived_at` in µs
    /// since the Unix epoch.
    #[must_use]
    pub fn covers(&self, source: i16, user_id: &str, arrived_at: i64) -> bool {
        self.until(source, user_id).is_some_and(|until| arrived_at <= until)
    }

    /// Whether the person was ever erased.
    #[must_use]
    pub fn was_erased(&self, source: i16, user_id: &str) -> bool {
        self.until(source, user_id).is_some()
    }

    fn until(&self, source: i16, user_id: &str) -> Option<i64> {
        let hasher = self.hasher.as_ref().filter(|_| !self.until.is_empty())?;
        self.until.get(&(source, hasher.hash(user_id))).copied()
    }

    /// Takes the person out of the rows that an erasure covers.
    pub(super) fn anonymize(&self, rows: &mut [Row<'_>]) {
        for row in rows {
            if self.covers(row.source, row.user_id, row.arrived_at) {
                *row = row.without_person();
            }
        }
    }
}

impl ErasedCache {
    /// The cached persons, where `newest` is the store's newest record.
    pub(super) fn as_of(&self, newest: Option<i64>) -> Option<Arc<ErasedPersons>> {
        let cached = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (cached.newest == newest).then(|| Arc::clone(&cached))
    }

    pub(super) fn replace(&self, persons: ErasedPersons) -> Arc<ErasedPersons> {
        let persons = Arc::new(persons);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&persons);
        persons
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &[u8] = b"key";

    fn record(source: i16, user_id: &str, suppress: bool, requested_at: i64) -> ErasureRecord {
        (source, PersonHasher::new(KEY).hash(user_id).to_vec(), suppress, requested_at, requested_at + 1)
    }

    #[test]
    fn a_person_s_hash_is_hmac_sha_256() {
        let hash = PersonHasher::new(KEY).hash("The quick brown fox jumps over the lazy dog");
        let known = "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8";
        assert_eq!(hash.map(|byte| format!("{byte:02x}")).concat(), known);
    }

    #[test]
    fn an_erasure_covers_events_that_had_arrived_and_later_ones_only_if_suppressed() {
        let records = vec![
            record(1, "once", false, 100),
            record(1, "twice", false, 100),
            record(1, "twice", false, 50),
            record(2, "for ever", true, 100),
            record(2, "for ever", false, 200),
        ];
        let erased = ErasedPersons::new(Some(KEY.to_vec()), records);
        for (source, user_id, arrived_at, covered) in [
            (1, "once", 100, true),
            (1, "once", 101, false),
            (2, "once", 1, false),
            (1, "twice", 100, true),
            (1, "twice", 101, false),
            (2, "for ever", i64::MAX, true),
            (1, "nobody", 1, false),
        ] {
            assert_eq!(erased.covers(source, user_id, arrived_at), covered, "{user_id} {arrived_at}");
        }
        assert!(erased.was_erased(1, "once") && !erased.was_erased(2, "once"));
        assert!(!ErasedPersons::default().covers(1, "once", 1));
    }

    #[test]
    fn a_newer_record_makes_the_cache_stale() {
        let cache = ErasedCache::default();
        assert!(cache.as_of(None).is_some() && cache.as_of(Some(101)).is_none());
        cache.replace(ErasedPersons::new(Some(KEY.to_vec()), vec![record(1, "once", false, 100)]));
        assert!(cache.as_of(Some(101)).is_some_and(|persons| persons.was_erased(1, "once")));
        assert!(cache.as_of(Some(102)).is_none() && cache.as_of(None).is_none());
    }
}
