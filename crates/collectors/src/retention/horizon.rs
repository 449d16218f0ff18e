//! Since when rows are complete, where some were removed.

const MINUTE: i64 = 60_000_000;

/// The first whole minute after `newest`, the greatest event time among removed rows; both µs since the Unix epoch.
/// Reports round to whole minutes before it, because the rollups' buckets are all that is left there.
pub(super) fn complete_from(newest: i64) -> i64 {
    (newest.div_euclid(MINUTE) + 1) * MINUTE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_minute_of_a_removed_row_is_not_complete() {
        for (newest, horizon) in [(0, 1), (1, 1), (MINUTE - 1, 1), (MINUTE, 2), (MINUTE + 1, 2)] {
            assert_eq!(complete_from(newest), horizon * MINUTE, "{newest}");
        }
    }
}
