//! Failpoints: moments at which a test has a collector abort. No signal from outside can hit them.

use clap::Args;
use weir_process::args::ConfigErrors;

/// A moment of a collector's work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failpoint {
    /// Frames are committed in the store, and not yet acknowledged in the journal.
    BeforeAck,
    /// An erasure is recorded, and no other step of it is done.
    ErasureRecorded,
    /// The person's rows are anonymous, and the person's dead letters still exist.
    ErasureRows,
    /// The person's dead letters are removed, and there is no receipt yet.
    ErasureLetters,
}

/// The option of the failpoint. Only tests use it, so that it is hidden from help.
#[derive(Clone, Debug, Default, Args)]
pub struct FailpointArgs {
    /// The moment at which the process aborts, as if it were killed: `collector-before-ack`, `erasure-recorded`,
    /// `erasure-rows` or `erasure-letters`.
    #[arg(long, env = "WEIR_FAILPOINT", hide = true)]
    failpoint: Option<String>,
}

impl FailpointArgs {
    /// The chosen failpoint, if any. An unknown name is added to `errors`.
    pub fn check(&self, errors: &mut ConfigErrors) -> Option<Failpoint> {
        let name = self.failpoint.as_deref()?;
        let failpoint = match name {
            "collector-before-ack" => Ok(Failpoint::BeforeAck),
            "erasure-recorded" => Ok(Failpoint::ErasureRecorded),
            "erasure-rows" => Ok(Failpoint::ErasureRows),
            "erasure-letters" => Ok(Failpoint::ErasureLetters),
            other => Err(format!("'{other}' is no failpoint")),
        };
        errors.check("WEIR_FAILPOINT", failpoint)
    }
}

impl Failpoint {
    /// Aborts the process where this is the chosen failpoint: no destructor runs and no buffer is flushed.
    pub(crate) fn abort_if(self, chosen: Option<Self>) {
        if chosen == Some(self) {
            tracing::error!(failpoint = ?self, "aborting at the failpoint that a test chose");
            std::process::abort();
        }
    }
}
