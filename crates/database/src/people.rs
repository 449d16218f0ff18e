//! Sets of people: the formats of the `people_*` tables, which collectors write and reporting reads.
//!
//! Every person of a source has a dense **number**. A bucket of time has the set of numbers that were seen in it
//! ([`Sets`]), and columns have the attributes of each number ([`Block`]). A range of time is therefore the union of a
//! few dozen sets, and one pass over the numbers of the union counts a group. A person with two values of a dimension
//! has a second number, an **alias**, for the second value: so the person counts once in each group, and no pass looks
//! at a person twice.
//!
//! The upper four bits of a number are those of its person's key, which is a hash: each of these [`PARTITIONS`] is a
//! random sixteenth of the people.
//!
//! Every blob begins with the version of its format.

mod attributes;
mod block;
mod observations;
mod person_key;
mod sets;
mod sketch;

pub use attributes::{AGE_ENDS, AttributeHashes, Attributes, Dimension, FOLLOWER_ENDS};
pub use block::{BLOCK, Block, BlockRecord};
pub use observations::{Observation, Observations, Removals};
pub use person_key::{PARTITION_NUMBERS, PARTITIONS, PersonKey};
pub use sets::{SLOTS, Sets, USERS};
pub use sketch::{LG_K, Sketch, SketchNames, SketchUnion, StoredSketch};
