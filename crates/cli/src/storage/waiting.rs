//! Reports of the wait for a server at the start of a role: in the ready probe, and in the log.

use tracing::error;
use weir_process::Latch;

/// Reports why a role waits. The log repeats no reason, because attempts follow each other quickly.
pub(super) struct WaitReport<'a> {
    dependency: &'static str,
    latches: &'a [&'a Latch],
    logged: String,
}

impl<'a> WaitReport<'a> {
    /// `dependency` is `journal` or `database`; `latches` are its latches in the roles that wait.
    pub(super) fn new(dependency: &'static str, latches: &'a [&'a Latch]) -> Self {
        Self { dependency, latches, logged: String::new() }
    }

    pub(super) fn report(&mut self, reason: &str) {
        self.latches.iter().for_each(|latch| latch.set(Err(reason.to_owned())));
        if self.logged != reason {
            error!(reason, "the role waits for its {}", self.dependency);
            reason.clone_into(&mut self.logged);
        }
    }
}
