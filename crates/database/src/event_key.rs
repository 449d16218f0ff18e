//! Keys of events without rows: retention removes a row, and its key still finds a late repeat.

use sha2::{Digest as _, Sha256};

use crate::id_code::IdCode;

/// The first 16 bytes of the SHA-256 of an event id, or of its code. A key takes a third of the id's own entry in an
/// index, and no two events of a deployment share one.
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
        Self::of_bytes(event_id.as_bytes())
    }

    /// The key of the bytes of an id or of a code.
    #[must_use]
    pub fn of_bytes(bytes: &[u8]) -> Self {
        let digest = Sha256::digest(bytes);
        Self(digest[..Self::LENGTH].try_into().expect("a digest has 32 bytes"))
    }

    /// The key of an id by its code, as segments of events have it.
    #[must_use]
    pub fn of_code(code: &IdCode<'_>) -> Self {
        Self::of_bytes(&code.as_bytes())
    }

    /// The keys that a removed event may have: of its id, and of the id's code.
    #[must_use]
    pub fn all_of(event_id: &str) -> [Self; 2] {
        [Self::of(event_id), Self::of_code(&IdCode::of(event_id))]
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
