//! Batches of a sweep: their removed rows, their size, and the horizon that removed rows move.

use std::{fmt, time::Duration};

use weir_database::time_bucket::{Grain, MINUTE};

/// The target duration of a batch. Storing waits for a batch, and the wait must stay unnoticed.
const TARGET: Duration = Duration::from_millis(50);
/// The smallest batch, in rows.
const SMALLEST: u32 = 100;
/// The largest batch. A larger one costs no less for each row.
const LARGEST: u32 = 5_000;
const SHORTEST_PAUSE: Duration = Duration::from_millis(20);

/// A table from which batches are removed, oldest rows first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SweptTable {
    /// Rows of events, by the time they were stored. Their keys stay, and the horizon moves.
    Events,
    /// Keys of events, by the time their events were stored.
    EventKeys,
    /// Accounts of single frames, by the time of their commit. They are added to the totals.
    Frames,
    /// Origins of frames, by the time their rows were stored; after those rows.
    FrameOrigins,
}

/// The removed rows of one source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RemovedOfSource {
    /// The source's number in `weir.event.v1` and in the database.
    pub(super) source: i16,
    pub(super) number: u64,
    /// The newest time among them, µs since the Unix epoch. The next batch begins there.
    pub(super) reached: i64,
}

/// The result of one batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RemovedBatch {
    /// By source; empty where no row is left.
    pub(super) removed: Vec<RemovedOfSource>,
    /// How long storing had to wait for the batch, from the moment at which the batch had its own locks.
    pub(super) held: Duration,
}

/// The size of batches. It adapts to the number of rows that this database removes in [`TARGET`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BatchSize {
    rows: u32,
}

impl Default for BatchSize {
    fn default() -> Self {
        Self { rows: 1_000 }
    }
}

impl BatchSize {
    /// The most rows of the next batch.
    pub(super) fn rows(self) -> u32 {
        self.rows
    }

    /// Adapts to the duration of a full batch, and returns the pause after it. The pause is at least as long as the
    /// batch, so that storing has half of the time, and the database can write and vacuum meanwhile.
    pub(super) fn pause_after(&mut self, held: Duration) -> Duration {
        if held > TARGET * 2 {
            self.rows = (self.rows / 2).max(SMALLEST);
        } else if held < TARGET {
            self.rows = (self.rows + self.rows / 4).min(LARGEST);
        }
        held.max(SHORTEST_PAUSE)
    }
}

/// The time from which on rows are complete: the first whole minute after `newest`, the greatest event time among
/// removed rows; both µs since the Unix epoch. Before it, reports round to whole minutes, because only the rollups'
/// buckets are left.
pub(super) fn complete_from(newest: i64) -> i64 {
    Grain::Minute.start_of(newest) + MINUTE
}

impl fmt::Display for SweptTable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Events => "rows",
            Self::EventKeys => "keys",
            Self::Frames => "frames",
            Self::FrameOrigins => "origins",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_shrink_on_a_slow_database_and_grow_on_a_fast_one() {
        let mut size = BatchSize::default();
        assert_eq!(size.pause_after(TARGET * 3), TARGET * 3, "a pause is as long as the batch");
        assert_eq!(size.rows(), 500);
        size.pause_after(TARGET + TARGET / 2);
        assert_eq!(size.rows(), 500, "the size stays between the target and twice the target");
        (0..10).for_each(|_| assert_eq!(size.pause_after(TARGET * 10), TARGET * 10));
        assert_eq!(size.rows(), SMALLEST);
        (0..100).for_each(|_| assert_eq!(size.pause_after(Duration::from_millis(1)), SHORTEST_PAUSE));
        assert_eq!(size.rows(), LARGEST);
    }

    #[test]
    fn the_minute_of_a_removed_row_is_not_complete() {
        for (newest, horizon) in [(0, 1), (1, 1), (MINUTE - 1, 1), (MINUTE, 2), (MINUTE + 1, 2)] {
            assert_eq!(complete_from(newest), horizon * MINUTE, "{newest}");
        }
    }
}
