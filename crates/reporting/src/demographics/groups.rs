//! The groups that a number of a person falls into (wire.md section 3).

/// Groups of ascending numbers without gaps.
pub(super) struct Groups {
    /// Each with the first number that is past it.
    below: &'static [(&'static str, i32)],
    /// The group of every larger number.
    last: &'static str,
}

/// Of years.
pub(super) const AGE: Groups =
    Groups { below: &[("<18", 18), ("18-24", 25), ("25-34", 35), ("35-44", 45), ("45-54", 55)], last: "55+" };

/// Of followers.
pub(super) const FOLLOWERS: Groups = Groups {
    below: &[("<100", 100), ("100-999", 1_000), ("1K-9.9K", 10_000), ("10K-99.9K", 100_000)],
    last: "100K+",
};

impl Groups {
    /// In their order; a group's place is its index.
    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.below.iter().map(|(name, _)| *name).chain([self.last])
    }

    /// The first number past each group but the last, ascending.
    pub(super) fn ends(&self) -> impl Iterator<Item = i32> {
        self.below.iter().map(|(_, end)| *end)
    }
}
