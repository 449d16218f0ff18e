//! The backlog of this process: whether its workers get full batches from the journal.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How long one full batch counts. It is longer than storing a batch takes.
const MEMORY: Duration = Duration::from_secs(1);

/// The time of the last full batch. Cheap to clone; clones share one value.
#[derive(Clone, Debug, Default)]
pub(crate) struct Backlog(Arc<Mutex<Option<Instant>>>);

impl Backlog {
    /// Notes that a worker got as many frames as it takes at once: more frames wait behind them.
    pub(crate) fn note_full_batch(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Whether a worker got a full batch lately.
    pub(crate) fn has_full_batches(&self) -> bool {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.is_some_and(|last| last.elapsed() < MEMORY)
    }
}
