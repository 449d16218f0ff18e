//! Whether the collectors of this process have more to store than they can.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How long one full batch counts: longer than a batch takes to be stored.
const MEMORY: Duration = Duration::from_secs(1);

/// Cheap to clone; every clone tells the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Backlog(Arc<Mutex<Option<Instant>>>);

impl Backlog {
    /// A worker got as many frames as it takes at once: others wait behind them.
    pub(crate) fn note(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    pub(crate) fn is_there(&self) -> bool {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.is_some_and(|last| last.elapsed() < MEMORY)
    }
}
