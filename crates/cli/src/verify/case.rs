//! One run of a ledger, and what is known of each of its events.

use super::expectations::Fates;
use crate::ledger::Run;

/// A ledger's run, and what is known of each of its events.
pub(super) struct Case {
    pub(super) run: Run,
    pub(super) fates: Fates,
}

impl Case {
    /// # Errors
    /// The run's requests are not those that this build would make.
    pub(super) fn of(run: Run) -> anyhow::Result<Self> {
        Ok(Self { fates: Fates::of(&run)?, run })
    }
}
