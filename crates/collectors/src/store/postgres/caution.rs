//! Whether the events of the next transactions are taken to be new until one turns out to be known.
//!
//! Most transactions bring nothing but new events, and to copy them is the fastest way into PostgreSQL, which knows no
//! `ON CONFLICT`. So nobody looks which ones are known, and the transaction that meets one is made once more after such a
//! look. Where known events come often they are not copied twice each time, because who met one is careful for a while.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

/// Transactions with caution after one that met a known event. Were only one in so many to meet one, a sixteenth of
/// the inserts would be in vain; with more of them caution lasts.
const MEMORY: u32 = 16;

/// What a store has met lately. Cheap to clone; every clone is careful with the others.
#[derive(Clone, Debug, Default)]
pub(in crate::store) struct Caution(Arc<AtomicU32>);

impl Caution {
    /// Asked once for each insert.
    pub(super) fn is_due(&self) -> bool {
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
    }

    pub(super) fn met_known_events(&self) {
        self.0.store(MEMORY, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_met_known_events_is_careful_for_a_while() {
        let caution = Caution::default();
        assert!(!caution.is_due());
        caution.met_known_events();
        let clone = caution.clone();
        assert!(clone.is_due());
        caution.met_known_events();
        assert!((0..MEMORY).all(|_| clone.is_due()));
        assert!(!caution.is_due());
    }
}
