//! One run of a ledger, and the expectations of its events.

use super::expectations::Expectations;
use crate::ledger::Run;

/// One run of a ledger, and the expectations of its events.
pub(super) struct Case {
    pub(super) run: Run,
    pub(super) expectations: Expectations,
}

impl Case {
    /// # Errors
    /// This build would make other requests from the run's seed.
    pub(super) fn of(run: Run) -> anyhow::Result<Self> {
        Ok(Self { expectations: Expectations::of(&run)?, run })
    }
}
