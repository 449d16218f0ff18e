//! The settings of retention, the cutoffs that follow from them, and the interval of sweeps.

use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// The least retention of accounts. The journal keeps acknowledged frames for 7 days and may redeliver them on an
/// operator's request. The store recognises them by their rows in `frames`.
const FRAMES_AT_LEAST: Duration = DAY.saturating_mul(8);
/// The least retention of erasures. An event from before an erasure may arrive as late: after 30 days as a dead letter
/// and then 7 days in the journal.
const ERASURES_AT_LEAST: Duration = DAY.saturating_mul(40);
/// How long before their frame was appended events may have arrived: 30 days as dead letters.
const ARRIVED_BEFORE: Duration = DAY.saturating_mul(31);
/// The most that the clocks of journal and database differ: each is at most an hour from this process's clock, or no
/// row is removed.
const CLOCKS_APART: Duration = Duration::from_secs(2 * 60 * 60);

/// The interval of sweeps. Rows are removed soon after their retention ends. A sweep that finds nothing costs almost nothing.
const LONGEST_INTERVAL: Duration = Duration::from_secs(600);
const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);

/// How long rows are kept after they were stored; `None` keeps them for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Rows of events, and accounts of single frames.
    pub rows: Option<Duration>,
    /// Keys of events whose rows are removed; not shorter than `rows`.
    pub keys: Option<Duration>,
}

/// The cutoffs of a sweep, µs since the Unix epoch. Older rows are removed; `None` removes none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cutoffs {
    /// For rows of events, by the time they were stored.
    pub(super) rows: Option<i64>,
    /// For keys, by the time their events were stored.
    pub(super) keys: Option<i64>,
    /// For accounts of single frames, by the time of their commit.
    pub(super) frames: Option<i64>,
    /// For erasures without `suppress`, by the time of their completion.
    pub(super) erasures: Option<i64>,
}

impl Retention {
    /// Keeps all rows for ever.
    pub const OFF: Self = Self { rows: None, keys: None };

    /// The cutoffs at `now` by the database's clock. `oldest_waiting` is when the oldest frame in the journal was
    /// appended; both µs since the Unix epoch. Accounts that would recognise a waiting frame are kept, and so are
    /// erasures that may cover its events.
    pub(super) fn cutoffs(self, now: i64, oldest_waiting: Option<i64>) -> Cutoffs {
        let before = |retention: Duration| earlier(now, retention);
        let waiting = oldest_waiting.map_or(i64::MAX, |oldest| earlier(oldest, CLOCKS_APART));
        Cutoffs {
            rows: self.rows.map(before),
            keys: self.keys.map(before),
            frames: self.rows.map(|rows| before(rows.max(FRAMES_AT_LEAST)).min(waiting)),
            erasures: self
                .rows
                .map(|rows| before(rows.max(ERASURES_AT_LEAST)).min(earlier(waiting, ARRIVED_BEFORE))),
        }
    }

    /// How long a segment of events takes rows: a tenth of their retention, so that none outstays its time by much more.
    /// `None` where no row is ever removed.
    pub(crate) fn longest_segment(self) -> Option<Duration> {
        self.rows.map(|rows| (rows / 10).max(SHORTEST_INTERVAL))
    }

    /// The interval of sweeps: a tenth of the shortest retention, within bounds. `None` where no row is ever removed.
    pub(super) fn interval(self) -> Option<Duration> {
        let shortest = [self.rows, self.keys].into_iter().flatten().min()?;
        Some((shortest / 10).clamp(SHORTEST_INTERVAL, LONGEST_INTERVAL))
    }
}

fn earlier(moment: i64, by: Duration) -> i64 {
    moment.saturating_sub(i64::try_from(by.as_micros()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use weir_database::time_bucket;

    use super::*;

    fn retention(rows: Option<Duration>, keys: Option<Duration>) -> Retention {
        Retention { rows, keys }
    }

    #[test]
    fn accounts_and_erasures_outlive_the_frames_of_the_journal_at_the_shortest_retention() {
        let micros = |days: i64| days * time_bucket::DAY;
        let cutoffs = retention(Some(Duration::from_secs(1)), Some(DAY * 2)).cutoffs(micros(100), None);
        let expected = Cutoffs {
            rows: Some(micros(100) - 1_000_000),
            keys: Some(micros(98)),
            frames: Some(micros(92)),
            erasures: Some(micros(60)),
        };
        assert_eq!(cutoffs, expected);
        let cutoffs = retention(Some(DAY * 90), None).cutoffs(micros(100), None);
        assert_eq!(
            (cutoffs.frames, cutoffs.erasures, cutoffs.keys),
            (Some(micros(10)), Some(micros(10)), None)
        );
    }

    #[test]
    fn accounts_and_erasures_stay_while_an_older_frame_waits() {
        let (days, hour) = (|days: i64| days * time_bucket::DAY, time_bucket::HOUR);
        let retention = retention(Some(DAY * 90), Some(DAY * 400));
        let waiting = retention.cutoffs(days(1000), Some(days(500)));
        assert_eq!((waiting.rows, waiting.keys), (Some(days(910)), Some(days(600))));
        assert_eq!(waiting.frames, Some(days(500) - 2 * hour));
        assert_eq!(waiting.erasures, Some(days(469) - 2 * hour));
        assert_eq!(retention.cutoffs(days(1000), Some(days(999))).frames, Some(days(910)));
    }

    #[test]
    fn a_retention_of_ever_has_no_cutoff() {
        let cutoffs = retention(None, Some(Duration::MAX)).cutoffs(0, None);
        assert_eq!((cutoffs.rows, cutoffs.frames, cutoffs.erasures), (None, None, None));
        assert!(cutoffs.keys.is_some_and(|cutoff| cutoff < 0));
    }

    #[test]
    fn the_interval_of_sweeps_follows_the_shortest_retention_within_bounds() {
        for (rows, keys, interval) in [
            (Some(Duration::from_secs(2)), Some(DAY), Some(SHORTEST_INTERVAL)),
            (Some(Duration::from_secs(600)), None, Some(Duration::from_secs(60))),
            (Some(DAY * 90), Some(DAY * 400), Some(LONGEST_INTERVAL)),
            (None, Some(DAY * 400), Some(LONGEST_INTERVAL)),
            (None, None, None),
        ] {
            assert_eq!(retention(rows, keys).interval(), interval, "{rows:?} {keys:?}");
        }
    }
}
