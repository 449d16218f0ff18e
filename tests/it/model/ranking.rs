//! The order of a report's rows.

use std::cmp::Reverse;

/// The largest first, and by name where they are as large; at most `limit`.
pub(super) fn by_size_then_name<Name: Ord + Clone>(
    sizes: impl IntoIterator<Item = (Name, u64)>,
    limit: usize,
) -> Vec<(Name, u64)> {
    let mut rows: Vec<_> = sizes.into_iter().collect();
    rows.sort_by_key(|(name, size)| (Reverse(*size), name.clone()));
    rows.truncate(limit);
    rows
}
