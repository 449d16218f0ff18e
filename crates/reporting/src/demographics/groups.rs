//! The groups that a number of a person falls into.

use weir_database::people::{AGE_ENDS, FOLLOWER_ENDS};

/// Groups of ascending numbers without gaps.
pub(super) struct Groups {
    names: &'static [&'static str],
    /// The first number that is past each of them but the last.
    ends: &'static [i64],
}

/// Of years.
pub(super) const AGE: Groups =
    Groups { names: &["<18", "18-24", "25-34", "35-44", "45-54", "55+"], ends: &AGE_ENDS };

/// Of followers.
pub(super) const FOLLOWERS: Groups =
    Groups { names: &["<100", "100-999", "1K-9.9K", "10K-99.9K", "100K+"], ends: &FOLLOWER_ENDS };

impl Groups {
    /// In their order; a group's place is its index.
    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.names.iter().copied()
    }

    /// The first number past each group but the last, ascending.
    pub(super) fn ends(&self) -> impl Iterator<Item = i64> {
        self.ends.iter().copied()
    }
}
