//! Keys of events without rows: retention removes a row, and its key still finds a late repeat.

use sha2::{Digest as _, Sha256};

/// The first 16 bytes of the SHA-256 of an event id. A key takes a third of the id's own entry in an index, and no two
/// events of a deployment share one.
///
/// ```
/// use weir_database::event_key::EventKey;
///
/// assert_eq!(EventKey::of("evt-1").as_bytes().len(), EventKey::LENGTH);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EventKey(pub [u8; EventKey::LENGTH]);

impl EventKey {
    /// Bytes of a key.
    pub const LENGTH: usize = 16;

    /// The key of an event id as the platform sent it.
    #[must_use]
    pub fn of(event_id: &str) -> Self {
        let digest = Sha256::digest(event_id.as_bytes());
        Self(digest[..Self::LENGTH].try_into().expect("a digest has 32 bytes"))
    }

    /// The value of the column `key` of `event_keys`.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_the_begin_of_the_hash_of_its_id() {
        // FIPS 180-2, appendix B.1.
        let key = 0xba78_16bf_8f01_cfea_4141_40de_5dae_2223_u128.to_be_bytes();
        assert_eq!(EventKey::of("abc").as_bytes(), key);
        assert_ne!(EventKey::of("a"), EventKey::of("b"));
    }
}
