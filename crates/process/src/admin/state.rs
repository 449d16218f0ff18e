//! The state that the handlers of the admin server share.

use crate::{Readiness, SharedRegistry, logging::LogLevel};

/// Cheap to clone; every clone is the same state.
#[derive(Clone)]
pub(super) struct AdminState {
    pub(super) readiness: Readiness,
    pub(super) registry: SharedRegistry,
    pub(super) log_level: LogLevel,
}
