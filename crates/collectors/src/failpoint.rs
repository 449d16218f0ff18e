//! Where a test may let a collector die, at a moment that no signal from outside can hit.

use clap::Args;
use weir_process::args::ConfigErrors;

/// A moment of a collector's work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failpoint {
    /// Frames are stored and committed, and the journal does not know it yet.
    BeforeAck,
    /// An erasure is recorded, and nothing else of it is done.
    ErasureRecorded,
    /// The person's rows are anonymous, and the person's dead letters are still there.
    ErasureRows,
    /// The person's dead letters are gone, and there is no receipt yet.
    ErasureLetters,
}

/// For tests of the system alone, so that no help names it.
#[derive(Clone, Debug, Default, Args)]
pub struct FailpointArgs {
    /// The moment at which the process dies as if it were killed: `collector-before-ack`, `erasure-recorded`,
    /// `erasure-rows` or `erasure-letters`.
    #[arg(long, env = "WEIR_FAILPOINT", hide = true)]
    failpoint: Option<String>,
}

impl FailpointArgs {
    /// The moment, where one is given; mistakes go to `mistakes`.
    pub fn check(&self, mistakes: &mut ConfigErrors) -> Option<Failpoint> {
        let name = self.failpoint.as_deref()?;
        let failpoint = match name {
            "collector-before-ack" => Ok(Failpoint::BeforeAck),
            "erasure-recorded" => Ok(Failpoint::ErasureRecorded),
            "erasure-rows" => Ok(Failpoint::ErasureRows),
            "erasure-letters" => Ok(Failpoint::ErasureLetters),
            other => Err(format!("'{other}' is no moment of a collector's work")),
        };
        mistakes.check("WEIR_FAILPOINT", failpoint)
    }
}

impl Failpoint {
    /// Dies here, where this is the moment that was chosen: no destructor runs and nothing is flushed.
    pub(crate) fn pass(self, chosen: Option<Self>) {
        if chosen == Some(self) {
            tracing::error!(failpoint = ?self, "dying, as a test asked for");
            std::process::abort();
        }
    }
}
