//! How much is folded at once, when, and how long the pause after it is.

use std::time::Duration;

/// Storing on SQLite waits for a fold.
const TARGET: Duration = Duration::from_millis(100);
const LEAST: u64 = 4_096;
/// Beyond this a fold is no cheaper by the sighting.
const MOST: u64 = 32_768;
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);

/// A report looks up what is not folded one by one, some microseconds each.
const WORTH_FOLDING: u64 = 4_096;
/// The same while collectors have a backlog: folding it later costs no more.
const WORTH_FOLDING_IN_BACKLOG: u64 = 200_000;
/// Beyond this nobody is given way to three times as long: reports look each of them up, and a load that lasts would
/// leave more and more.
const TOO_MANY: u64 = 1_000_000;
/// However few there are: the last block of a column is written anew for each fold, so a fold is not for free.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Who is in the way of a fold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Storing {
    Nobody,
    Somebody,
    /// Collectors with a backlog.
    Everybody,
}

impl Storing {
    /// Who is in the way while so many sightings wait. `more` have come since the last look, or none.
    pub(super) fn now(sightings: u64, backlog: bool, more: bool) -> Self {
        match (backlog, more) {
            (true, _) if sightings < TOO_MANY => Self::Everybody,
            (true, _) | (false, true) => Self::Somebody,
            (false, false) => Self::Nobody,
        }
    }
}

/// Finds out how many sightings this database folds in [`TARGET`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pace {
    size: u64,
}

impl Default for Pace {
    fn default() -> Self {
        Self { size: LEAST }
    }
}

impl Pace {
    /// The most that the next fold may take.
    pub(super) fn size(self) -> u64 {
        self.size
    }

    /// Whether it is time to fold `sightings`, the oldest of which waits for so long.
    pub(super) fn is_due(sightings: u64, oldest: Duration, backlog: bool) -> bool {
        let worth = if backlog { WORTH_FOLDING_IN_BACKLOG } else { WORTH_FOLDING };
        sightings >= worth || (sightings > 0 && oldest >= LONGEST_WAIT && !backlog)
    }

    /// Learns from a fold that took so long, and returns the pause after it: as long as the fold where somebody stores,
    /// who so has half of the time, and three times as long where there is a backlog.
    pub(super) fn after(&mut self, took: Duration, storing: Storing) -> Duration {
        if took > TARGET * 2 {
            self.size = (self.size / 2).max(LEAST);
        } else if took < TARGET {
            self.size = (self.size * 2).min(MOST);
        }
        let pauses = match storing {
            Storing::Nobody => 0,
            Storing::Somebody => 1,
            Storing::Everybody => 3,
        };
        (took * pauses).max(SHORTEST_PAUSE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_shrink_where_the_database_is_slow_and_grow_where_it_is_fast() {
        let mut pace = Pace::default();
        (0..9).for_each(|_| assert_eq!(pace.after(Duration::ZERO, Storing::Somebody), SHORTEST_PAUSE));
        assert_eq!(pace.size(), MOST);
        assert_eq!(pace.after(TARGET * 3, Storing::Somebody), TARGET * 3);
        assert_eq!(pace.size(), MOST / 2);
        assert_eq!(pace.after(TARGET, Storing::Everybody), TARGET * 3);
        assert_eq!(pace.after(TARGET, Storing::Nobody), SHORTEST_PAUSE);
        assert_eq!(pace.size(), MOST / 2, "this is about right");
        (0..9).for_each(|_| _ = pace.after(TARGET * 3, Storing::Somebody));
        assert_eq!(pace.size(), LEAST);
    }

    #[test]
    fn a_backlog_is_given_way_to_until_too_many_wait() {
        for (sightings, backlog, more, storing) in [
            (5, true, true, Storing::Everybody),
            (TOO_MANY - 1, true, false, Storing::Everybody),
            (TOO_MANY, true, false, Storing::Somebody),
            (TOO_MANY, false, true, Storing::Somebody),
            (TOO_MANY, false, false, Storing::Nobody),
        ] {
            assert_eq!(Storing::now(sightings, backlog, more), storing, "{sightings} {backlog} {more}");
        }
    }

    #[test]
    fn many_are_folded_at_once_and_few_after_a_while_and_neither_in_a_backlog() {
        let second = Duration::from_secs(1);
        for (sightings, oldest, backlog, due) in [
            (WORTH_FOLDING, Duration::ZERO, false, true),
            (WORTH_FOLDING - 1, second, false, false),
            (1, LONGEST_WAIT, false, true),
            (0, LONGEST_WAIT, false, false),
            (WORTH_FOLDING, LONGEST_WAIT, true, false),
            (WORTH_FOLDING_IN_BACKLOG, second, true, true),
        ] {
            assert_eq!(Pace::is_due(sightings, oldest, backlog), due, "{sightings} {oldest:?} {backlog}");
        }
    }
}
