//! How many of the next events are looked up before they are copied.
//!
//! Most transactions bring nothing but new events, and to copy them is the fastest way into PostgreSQL, which knows no
//! `ON CONFLICT`. So nobody looks which ones are known, and the transaction that meets one is made once more after a look
//! at all of them. Where known events come, they come again soon, and are not copied twice each time: whoever met one
//! remembers for a while what came lately and looks up what comes again (see `recent`), and until that finds all known
//! ones, all events.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

/// Inserts with a look at all events after a surprise: so many without one show that the memory of events suffices. Were
/// only one in so many a surprise, a sixteenth of the inserts would be in vain.
const SUSPICIOUS: u32 = 16;
/// Inserts with a look at what came lately after the last one that found a known event. It costs some hundredths of an
/// insert.
const WATCHFUL: u32 = 1_024;

/// What is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    Nothing,
    /// What came lately.
    Recent,
    All,
}

/// What a store has met lately. Cheap to clone; every clone is careful with the others.
#[derive(Clone, Debug)]
pub(super) struct Caution(Arc<AtomicU32>);

impl Default for Caution {
    fn default() -> Self {
        Self(Arc::new(AtomicU32::new(WATCHFUL)))
    }
}

impl Caution {
    /// Asked once for each insert.
    pub(super) fn next(&self) -> Look {
        let next = |inserts: u32| Some(inserts.saturating_add(1));
        match self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next) {
            Ok(..SUSPICIOUS) => Look::All,
            Ok(..WATCHFUL) => Look::Recent,
            _ => Look::Nothing,
        }
    }

    /// A known event was met that a look at what came lately would not have found.
    pub(super) fn was_surprised(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// A known event was found among what came lately.
    pub(super) fn was_right(&self) {
        self.0.fetch_min(SUSPICIOUS, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(caution: &Caution, inserts: u32) -> Vec<Look> {
        let mut looks: Vec<Look> = (0..inserts).map(|_| caution.next()).collect();
        looks.dedup();
        looks
    }

    #[test]
    fn who_was_surprised_looks_at_all_for_a_while_and_longer_at_what_came_lately() {
        let caution = Caution::default();
        assert_eq!(next(&caution, 3), [Look::Nothing]);
        caution.clone().was_surprised();
        assert_eq!(next(&caution, SUSPICIOUS), [Look::All]);
        assert_eq!(next(&caution, WATCHFUL - SUSPICIOUS), [Look::Recent]);
        assert_eq!(next(&caution, 3), [Look::Nothing]);
    }

    #[test]
    fn what_is_found_prolongs_the_look_at_what_came_lately_alone() {
        let caution = Caution::default();
        caution.was_surprised();
        assert_eq!(next(&caution, SUSPICIOUS - 1), [Look::All]);
        caution.was_right();
        assert_eq!(next(&caution, 1), [Look::All]);
        assert_eq!(next(&caution, 100), [Look::Recent]);
        caution.was_right();
        assert_eq!(next(&caution, WATCHFUL - SUSPICIOUS), [Look::Recent]);
        assert_eq!(next(&caution, 1), [Look::Nothing]);
    }
}
