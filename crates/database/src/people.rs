//! How distinct users are counted: the formats of the `people_*` tables, which collectors write and reporting reads.
//!
//! Every person of a source has a dense **number**. What a bucket of time knows is which numbers were seen in it
//! ([`Sets`]), and what a number stands for is in columns ([`Block`]): so a range is the union of a few dozen sets, and
//! a group is counted by going over the numbers of the union once. A person of whom two values of a dimension were told
//! has a second number, an **alias**, for the second value, so that nobody counts twice in a group and no person has
//! to be looked at more than once.
//!
//! A number's upper four bits are those of its person's key, which is a hash: each of these [`PARTITIONS`] is a random
//! sixteenth of the people.
//!
//! Every blob begins with the version of its format.

mod attributes;
mod block;
mod encoding;
mod groups;
mod key;
mod observations;
mod removals;
mod sets;

pub use attributes::{AttributeHashes, Attributes, Dimension};
pub use block::{Block, Record};
pub use encoding::Malformed;
pub use groups::{AGE_ENDS, FOLLOWER_ENDS};
pub use key::PersonKey;
pub use observations::{Observations, Sighting};
pub use removals::Removals;
pub use sets::{SLOTS, Sets, USERS};

/// Microseconds.
pub const MINUTE: i64 = 60_000_000;
/// Number and width in minutes, the narrowest first; each is made of whole ones of those before. The same as of the
/// rollups.
pub const GRAINS: [(i16, i64); 3] = [(1, 1), (2, 60), (3, 24 * 60)];

/// Parts of the numbers, each of a random sixteenth of the people.
pub const PARTITIONS: u32 = 16;
/// Numbers of one partition: 268 million people and aliases of a source.
pub const PARTITION_NUMBERS: u32 = 1 << 28;
/// Numbers of a block of columns. Few, because the last block of each partition is written again with each fold; many
/// enough that a million people are a few thousand rows.
pub const BLOCK: u32 = 512;
