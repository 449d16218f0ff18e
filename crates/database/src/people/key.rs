//! What a person is found by.

use sha2::{Digest as _, Sha256};

/// The first 16 bytes of the SHA-256 of a user id: no two of the people that a deployment ever sees share one.
///
/// Whoever has the key can find out the id by trying, so it stays only while the person's rows do, which have the id
/// itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PersonKey(pub [u8; PersonKey::LENGTH]);

impl PersonKey {
    pub const LENGTH: usize = 16;

    /// Of the id as it was sent.
    #[must_use]
    pub fn of(user_id: &str) -> Self {
        let digest = Sha256::digest(user_id.as_bytes());
        Self(digest[..Self::LENGTH].try_into().expect("a digest has 32 bytes"))
    }

    /// Where the person's numbers are: 0 to 15.
    #[must_use]
    pub fn partition(&self) -> u32 {
        u32::from(self.0[0] >> 4)
    }
}
