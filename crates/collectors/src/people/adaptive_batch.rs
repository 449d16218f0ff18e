//! The size of folds, the time at which one is due, and the pause after it.

use std::time::Duration;

/// The target duration of a fold. Storing on SQLite waits for a fold.
const TARGET: Duration = Duration::from_millis(100);
/// The smallest fold, in observations.
const SMALLEST: u64 = 4_096;
/// The largest fold. A larger one costs no less for each observation.
const LARGEST: u64 = 32_768;
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);

/// So many observations are worth a fold. A report looks up each that is not folded, in some microseconds.
const WORTH_FOLDING: u64 = 4_096;
/// The same while collectors have a backlog, because a later fold of more observations costs no more.
const WORTH_FOLDING_IN_BACKLOG: u64 = 200_000;
/// With so many waiting observations, folds no longer give way to a backlog: reports look up each of them, and their
/// number would grow for as long as the load lasts.
const TOO_MANY: u64 = 1_000_000;
/// The longest wait of a few observations. Each fold writes the last block of a column again, so that it waits for
/// more.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// The load of storing, to which folds give way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StoreLoad {
    Idle,
    Active,
    /// Collectors have a backlog.
    Backlogged,
}

impl StoreLoad {
    /// The load while so many observations wait. `more` is whether their number grew since the last look.
    pub(super) fn now(observations: u64, backlog: bool, more: bool) -> Self {
        match (backlog, more) {
            (true, _) if observations < TOO_MANY => Self::Backlogged,
            (true, _) | (false, true) => Self::Active,
            (false, false) => Self::Idle,
        }
    }
}

/// The size of folds. It adapts to the number of observations that this database folds in [`TARGET`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AdaptiveBatch {
    size: u64,
}

impl Default for AdaptiveBatch {
    fn default() -> Self {
        Self { size: SMALLEST }
    }
}

impl AdaptiveBatch {
    /// The most observations of the next fold.
    pub(super) fn size(self) -> u64 {
        self.size
    }

    /// Whether a fold of waiting observations is due; `oldest` is the age of the oldest.
    pub(super) fn is_due(observations: u64, oldest: Duration, backlog: bool) -> bool {
        let worth = if backlog { WORTH_FOLDING_IN_BACKLOG } else { WORTH_FOLDING };
        observations >= worth || (observations > 0 && oldest >= LONGEST_WAIT && !backlog)
    }

    /// Adapts to the duration of a fold, and returns the pause after it. The pause is as long as the fold while a
    /// collector stores, so that storing gets half of the time, and three times as long while collectors have a backlog.
    pub(super) fn after(&mut self, took: Duration, load: StoreLoad) -> Duration {
        if took > TARGET * 2 {
            self.size = (self.size / 2).max(SMALLEST);
        } else if took < TARGET {
            self.size = (self.size * 2).min(LARGEST);
        }
        let pauses = match load {
            StoreLoad::Idle => 0,
            StoreLoad::Active => 1,
            StoreLoad::Backlogged => 3,
        };
        (took * pauses).max(SHORTEST_PAUSE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_shrink_on_a_slow_database_and_grow_on_a_fast_one() {
        let mut batch = AdaptiveBatch::default();
        (0..9).for_each(|_| assert_eq!(batch.after(Duration::ZERO, StoreLoad::Active), SHORTEST_PAUSE));
        assert_eq!(batch.size(), LARGEST);
        assert_eq!(batch.after(TARGET * 3, StoreLoad::Active), TARGET * 3);
        assert_eq!(batch.size(), LARGEST / 2);
        assert_eq!(batch.after(TARGET, StoreLoad::Backlogged), TARGET * 3);
        assert_eq!(batch.after(TARGET, StoreLoad::Idle), SHORTEST_PAUSE);
        assert_eq!(batch.size(), LARGEST / 2, "the size stays between the target and twice the target");
        (0..9).for_each(|_| _ = batch.after(TARGET * 3, StoreLoad::Active));
        assert_eq!(batch.size(), SMALLEST);
    }

    #[test]
    fn folds_give_way_to_a_backlog_until_too_many_observations_wait() {
        for (observations, backlog, more, load) in [
            (5, true, true, StoreLoad::Backlogged),
            (TOO_MANY - 1, true, false, StoreLoad::Backlogged),
            (TOO_MANY, true, false, StoreLoad::Active),
            (TOO_MANY, false, true, StoreLoad::Active),
            (TOO_MANY, false, false, StoreLoad::Idle),
        ] {
            assert_eq!(StoreLoad::now(observations, backlog, more), load, "{observations} {backlog} {more}");
        }
    }

    #[test]
    fn a_fold_is_due_with_many_observations_or_an_old_one_and_in_a_backlog_with_very_many() {
        let second = Duration::from_secs(1);
        for (observations, oldest, backlog, due) in [
            (WORTH_FOLDING, Duration::ZERO, false, true),
            (WORTH_FOLDING - 1, second, false, false),
            (1, LONGEST_WAIT, false, true),
            (0, LONGEST_WAIT, false, false),
            (WORTH_FOLDING, LONGEST_WAIT, true, false),
            (WORTH_FOLDING_IN_BACKLOG, second, true, true),
        ] {
            assert_eq!(
                AdaptiveBatch::is_due(observations, oldest, backlog),
                due,
                "{observations} {oldest:?} {backlog}"
            );
        }
    }
}
