//! The persons who were erased: whose events are stored without them, whenever they come.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::row::Row;

/// The key that persons are hashed with.
pub(super) const SELECT_KEY: &str = "SELECT key FROM erasure_keys WHERE number = 1";
/// Rows of [`Record`].
pub(super) const SELECT_RECORDS: &str =
    "SELECT source, user_hash, suppress, requested_at, recorded_at FROM erasures";

/// Source, hash, whether it is suppressed, when it was requested and recorded.
pub(super) type Record = (i16, Vec<u8>, bool, i64, i64);

/// HMAC-SHA256 of a person's id: without the key nobody can tell by trying who was erased.
pub(super) type PersonHash = [u8; 32];

/// The key of a deployment's hashes, ready to be used.
#[derive(Clone, Debug)]
pub(super) struct PersonKey(Hmac<Sha256>);

/// The persons who were erased. Nobody, by default.
#[derive(Clone, Debug, Default)]
pub struct ErasedPersons {
    /// The newest record among them, µs since the Unix epoch.
    newest: Option<i64>,
    key: Option<PersonKey>,
    /// Until when an event has to have arrived, µs since the Unix epoch, by source and person.
    until: HashMap<(i16, PersonHash), i64>,
}

/// What a process knows of erased persons: read again where somebody was erased meanwhile. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct KnownErased(Arc<Mutex<Arc<ErasedPersons>>>);

impl PersonKey {
    pub(super) fn new(key: &[u8]) -> Self {
        Self(Hmac::new_from_slice(key).expect("HMAC takes keys of any length"))
    }

    pub(super) fn hash(&self, user_id: &str) -> PersonHash {
        self.0.clone().chain_update(user_id).finalize().into_bytes().into()
    }
}

impl ErasedPersons {
    pub(super) fn new(key: Option<Vec<u8>>, records: Vec<Record>) -> Self {
        let newest = records.iter().map(|(.., recorded_at)| *recorded_at).max();
        let mut until = HashMap::with_capacity(records.len());
        for (source, hash, suppress, requested_at, _) in records {
            let Ok(hash) = PersonHash::try_from(hash) else { continue };
            let last: &mut i64 = until.entry((source, hash)).or_insert(requested_at);
            *last = (*last).max(if suppress { i64::MAX } else { requested_at });
        }
        Self { newest, key: key.as_deref().map(PersonKey::new), until }
    }

    /// Whether an event of this person that arrived then, µs since the Unix epoch, is stored without the person.
    #[must_use]
    pub fn include(&self, source: i16, user_id: &str, arrived_at: i64) -> bool {
        self.until(source, user_id).is_some_and(|until| arrived_at <= until)
    }

    /// Whether the person was ever erased.
    #[must_use]
    pub fn know(&self, source: i16, user_id: &str) -> bool {
        self.until(source, user_id).is_some()
    }

    fn until(&self, source: i16, user_id: &str) -> Option<i64> {
        let key = self.key.as_ref().filter(|_| !self.until.is_empty())?;
        self.until.get(&(source, key.hash(user_id))).copied()
    }

    /// Makes the rows anonymous that are to be stored without their person.
    pub(super) fn take_out_of(&self, rows: &mut [Row<'_>]) {
        for row in rows {
            if self.include(row.source, row.user_id, row.arrived_at) {
                *row = row.without_person();
            }
        }
    }
}

impl KnownErased {
    /// What is known, where that is as new as the store's newest record.
    pub(super) fn as_of(&self, newest: Option<i64>) -> Option<Arc<ErasedPersons>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (known.newest == newest).then(|| Arc::clone(&known))
    }

    pub(super) fn learn(&self, persons: ErasedPersons) -> Arc<ErasedPersons> {
        let persons = Arc::new(persons);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&persons);
        persons
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &[u8] = b"key";

    fn record(source: i16, user_id: &str, suppress: bool, requested_at: i64) -> Record {
        (source, PersonKey::new(KEY).hash(user_id).to_vec(), suppress, requested_at, requested_at + 1)
    }

    #[test]
    fn a_person_s_hash_is_hmac_sha_256() {
        let hash = PersonKey::new(KEY).hash("The quick brown fox jumps over the lazy dog");
        let known = "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8";
        assert_eq!(hash.map(|byte| format!("{byte:02x}")).concat(), known);
    }

    #[test]
    fn events_until_the_erasure_are_the_erased_person_s_and_later_ones_only_if_suppressed() {
        let records = vec![
            record(1, "once", false, 100),
            record(1, "twice", false, 100),
            record(1, "twice", false, 50),
            record(2, "for ever", true, 100),
            record(2, "for ever", false, 200),
        ];
        let erased = ErasedPersons::new(Some(KEY.to_vec()), records);
        for (source, user_id, arrived_at, included) in [
            (1, "once", 100, true),
            (1, "once", 101, false),
            (2, "once", 1, false),
            (1, "twice", 100, true),
            (1, "twice", 101, false),
            (2, "for ever", i64::MAX, true),
            (1, "nobody", 1, false),
        ] {
            assert_eq!(erased.include(source, user_id, arrived_at), included, "{user_id} {arrived_at}");
        }
        assert!(erased.know(1, "once") && !erased.know(2, "once"));
        assert!(!ErasedPersons::default().include(1, "once", 1));
    }

    #[test]
    fn what_is_known_is_read_again_when_there_is_a_newer_record() {
        let known = KnownErased::default();
        assert!(known.as_of(None).is_some() && known.as_of(Some(101)).is_none());
        known.learn(ErasedPersons::new(Some(KEY.to_vec()), vec![record(1, "once", false, 100)]));
        assert!(known.as_of(Some(101)).is_some_and(|persons| persons.know(1, "once")));
        assert!(known.as_of(Some(102)).is_none() && known.as_of(None).is_none());
    }
}
