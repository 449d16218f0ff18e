//! Before which moments things are removed, and how often somebody looks.

use std::time::Duration;

use super::Retention;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// The journal keeps acknowledged frames for 7 days, and may be told to deliver them again; their rows in `frames` are
/// what they are recognised by.
const FRAMES_AT_LEAST: Duration = DAY.saturating_mul(8);
/// An event of before an erasure may come for as long: 30 days as a dead letter, then 7 in the journal.
const ERASURES_AT_LEAST: Duration = DAY.saturating_mul(40);
/// How long before a frame came into the journal its events may have arrived: 30 days as dead letters.
const ARRIVED_BEFORE: Duration = DAY.saturating_mul(31);
/// The clocks of journal and database are an hour each from this process's at most, else nothing is removed.
const CLOCKS_APART: Duration = Duration::from_secs(2 * 60 * 60);

/// Often enough that nothing outstays its time by much, seldom enough that looking costs nothing.
const LONGEST_INTERVAL: Duration = Duration::from_secs(600);
const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);

/// The moments, µs since the Unix epoch; what is older is removed. `None` removes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cutoffs {
    /// Of rows, by when they were stored.
    pub(super) rows: Option<i64>,
    /// Of keys, by when their events were stored.
    pub(super) keys: Option<i64>,
    /// Of accounts of single frames, by commit.
    pub(super) frames: Option<i64>,
    /// Of erasures that concern only what arrived before them, by completion.
    pub(super) erasures: Option<i64>,
}

impl Retention {
    /// As of `now` by the database's clock, µs since the Unix epoch. While a frame waits in the journal, since
    /// `oldest_waiting`, the accounts that would recognise it are kept, and the erasures that its events may concern.
    pub(super) fn cutoffs(self, now: i64, oldest_waiting: Option<i64>) -> Cutoffs {
        let before = |kept: Duration| earlier(now, kept);
        let waiting = oldest_waiting.map_or(i64::MAX, |oldest| earlier(oldest, CLOCKS_APART));
        Cutoffs {
            rows: self.rows.map(before),
            keys: self.keys.map(before),
            frames: self.rows.map(|kept| before(kept.max(FRAMES_AT_LEAST)).min(waiting)),
            erasures: self
                .rows
                .map(|kept| before(kept.max(ERASURES_AT_LEAST)).min(earlier(waiting, ARRIVED_BEFORE))),
        }
    }

    /// Between two sweeps: a tenth of the shortest time that anything is kept, within bounds; `None` where nothing is
    /// ever removed.
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
    use super::*;

    fn kept(rows: Option<Duration>, keys: Option<Duration>) -> Retention {
        Retention { rows, keys }
    }

    #[test]
    fn frames_and_erasures_outlive_the_journal_however_short_rows_are_kept() {
        let micros = |days: i64| days * 86_400_000_000;
        let cutoffs = kept(Some(Duration::from_secs(1)), Some(DAY * 2)).cutoffs(micros(100), None);
        let expected = Cutoffs {
            rows: Some(micros(100) - 1_000_000),
            keys: Some(micros(98)),
            frames: Some(micros(92)),
            erasures: Some(micros(60)),
        };
        assert_eq!(cutoffs, expected);
        let cutoffs = kept(Some(DAY * 90), None).cutoffs(micros(100), None);
        assert_eq!(
            (cutoffs.frames, cutoffs.erasures, cutoffs.keys),
            (Some(micros(10)), Some(micros(10)), None)
        );
    }

    #[test]
    fn accounts_and_erasures_stay_while_an_older_frame_waits() {
        let (days, hour) = (|days: i64| days * 86_400_000_000, 3_600_000_000);
        let kept = kept(Some(DAY * 90), Some(DAY * 400));
        let waiting = kept.cutoffs(days(1000), Some(days(500)));
        assert_eq!((waiting.rows, waiting.keys), (Some(days(910)), Some(days(600))));
        assert_eq!(waiting.frames, Some(days(500) - 2 * hour));
        assert_eq!(waiting.erasures, Some(days(469) - 2 * hour));
        assert_eq!(kept.cutoffs(days(1000), Some(days(999))).frames, Some(days(910)));
    }

    #[test]
    fn what_is_kept_for_ever_is_never_before_a_cutoff() {
        let cutoffs = kept(None, Some(Duration::MAX)).cutoffs(0, None);
        assert_eq!((cutoffs.rows, cutoffs.frames, cutoffs.erasures), (None, None, None));
        assert!(cutoffs.keys.is_some_and(|cutoff| cutoff < 0));
    }

    #[test]
    fn sweeps_follow_the_shortest_time_within_bounds() {
        for (rows, keys, interval) in [
            (Some(Duration::from_secs(2)), Some(DAY), Some(SHORTEST_INTERVAL)),
            (Some(Duration::from_secs(600)), None, Some(Duration::from_secs(60))),
            (Some(DAY * 90), Some(DAY * 400), Some(LONGEST_INTERVAL)),
            (None, Some(DAY * 400), Some(LONGEST_INTERVAL)),
            (None, None, None),
        ] {
            assert_eq!(kept(rows, keys).interval(), interval, "{rows:?} {keys:?}");
        }
    }
}
