//! How much a batch removes, and how long the pause after it is.

use std::time::Duration;

/// Storing waits while a batch is removed: shorter than anybody notices.
const TARGET: Duration = Duration::from_millis(50);
const LEAST: u32 = 100;
/// Beyond this a batch is no cheaper by the row.
const MOST: u32 = 5_000;
const SHORTEST_PAUSE: Duration = Duration::from_millis(20);

/// The pace of one sweep: it finds out how many rows this database removes in [`TARGET`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pace {
    size: u32,
}

impl Default for Pace {
    fn default() -> Self {
        Self { size: 1_000 }
    }
}

impl Pace {
    /// The most that the next batch may remove.
    pub(super) fn size(self) -> u32 {
        self.size
    }

    /// Learns from a full batch that took `held`, and returns the pause after it: at least as long as the batch, so that
    /// storing has half of the time, and the database can write and vacuum behind it.
    pub(super) fn after(&mut self, held: Duration) -> Duration {
        if held > TARGET * 2 {
            self.size = (self.size / 2).max(LEAST);
        } else if held < TARGET {
            self.size = (self.size + self.size / 4).min(MOST);
        }
        held.max(SHORTEST_PAUSE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_shrink_where_the_database_is_slow_and_grow_where_it_is_fast() {
        let mut pace = Pace::default();
        assert_eq!(pace.after(TARGET * 3), TARGET * 3, "a pause is as long as the batch");
        assert_eq!(pace.size(), 500);
        pace.after(TARGET + TARGET / 2);
        assert_eq!(pace.size(), 500, "this is about right");
        (0..10).for_each(|_| assert_eq!(pace.after(TARGET * 10), TARGET * 10));
        assert_eq!(pace.size(), LEAST);
        (0..100).for_each(|_| assert_eq!(pace.after(Duration::from_millis(1)), SHORTEST_PAUSE));
        assert_eq!(pace.size(), MOST);
    }
}
