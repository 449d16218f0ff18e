//! Keys of people, and the partitions that they fall into.

use sha2::{Digest as _, Sha256};

/// Parts of the numbers, each of a random sixteenth of the people.
pub const PARTITIONS: u32 = 16;
/// Numbers of one partition: 268 million people and aliases of a source.
pub const PARTITION_NUMBERS: u32 = 1 << 28;

/// The first 16 bytes of the SHA-256 of a user id: no two people of a deployment share one.
///
/// An attacker can find the id by hashing candidate ids. A key therefore stays only as long as the person's rows,
/// which have the
/// id itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PersonKey(pub [u8; PersonKey::LENGTH]);

impl PersonKey {
    /// Bytes of a key.
    pub const LENGTH: usize = 16;

    /// The key of a user id as the platform sent it.
    #[must_use]
    pub fn of(user_id: &str) -> Self {
        let digest = Sha256::digest(user_id.as_bytes());
        Self(digest[..Self::LENGTH].try_into().expect("a digest has 32 bytes"))
    }

    /// The partition of the person's numbers, 0 to 15.
    #[must_use]
    pub fn partition(&self) -> u32 {
        u32::from(self.0[0] >> 4)
    }
}
