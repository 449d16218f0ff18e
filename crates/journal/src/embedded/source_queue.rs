//! What memory knows of one source's frames, shared by its consumers and the writer.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use weir_event::Source;

use super::leases::Leases;

/// The frames of one source: those up to the cursor are offered or acknowledged, those behind it wait.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) source: Source,
    /// The last sequence that was offered for the first time since the file was opened. Whoever offers holds it.
    pub(super) cursor: tokio::sync::Mutex<i64>,
    /// Something was appended, or is due at another time than was thought.
    pub(super) changed: Notify,
    leases: Mutex<Leases>,
}

impl Lane {
    pub(super) fn new(source: Source) -> Self {
        Self {
            source,
            cursor: tokio::sync::Mutex::new(0),
            changed: Notify::new(),
            leases: Mutex::new(Leases::default()),
        }
    }

    pub(super) fn leases(&self) -> MutexGuard<'_, Leases> {
        // Every change of the leases is one step, so that a panic elsewhere leaves them whole.
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
