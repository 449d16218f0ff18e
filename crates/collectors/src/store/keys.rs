//! What stays of an event whose row was removed: its key, by which a late repeat is still known.

use std::collections::{HashMap, HashSet};

use sha2::{Digest as _, Sha256};

/// Source and event id.
pub(super) type Identity<'a> = (i16, &'a str);

/// The first 16 bytes of the SHA-256 of an event id: a third of the id's own row in an index, and no two of the
/// events that a deployment ever sees share one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EventKey([u8; Self::LENGTH]);

impl EventKey {
    const LENGTH: usize = 16;

    /// Of the id as it was sent.
    #[must_use]
    pub fn of(event_id: &str) -> Self {
        let digest = Sha256::digest(event_id.as_bytes());
        Self(digest[..Self::LENGTH].try_into().expect("a digest has 32 bytes"))
    }

    /// As `event_keys` has it.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Identities, to be looked up by their keys.
#[derive(Debug)]
pub(super) struct Asked<'a>(HashMap<(i16, EventKey), Identity<'a>>);

impl<'a> Asked<'a> {
    pub(super) fn new(identities: impl Iterator<Item = Identity<'a>>) -> Self {
        Self(identities.map(|(source, id)| ((source, EventKey::of(id)), (source, id))).collect())
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &(i16, EventKey)> {
        self.0.keys()
    }

    /// The identities of keys that were found.
    pub(super) fn found(&self, keys: impl IntoIterator<Item = (i16, Vec<u8>)>) -> HashSet<Identity<'a>> {
        let identity = |(source, key): (i16, Vec<u8>)| {
            let key = EventKey(key.try_into().ok()?);
            self.0.get(&(source, key)).copied()
        };
        keys.into_iter().filter_map(identity).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_the_first_half_of_the_sha_256() {
        // FIPS 180-2, appendix B.1.
        assert_eq!(
            EventKey::of("abc").as_bytes(),
            0xba78_16bf_8f01_cfea_4141_40de_5dae_2223_u128.to_be_bytes()
        );
    }

    #[test]
    fn what_is_found_is_told_by_source_and_id() {
        let asked = Asked::new([(1, "a"), (2, "a"), (1, "b")].into_iter());
        let row = |source, id| (source, EventKey::of(id).as_bytes().to_vec());
        let found = asked.found([row(2, "a"), row(1, "b"), row(2, "b")]);
        assert_eq!(found, HashSet::from([(2, "a"), (1, "b")]));
    }
}
