//! The wait for servers that are away or slow: a tool prints a notice every 5 s, a role reports the reason in its ready
//! probe and its log.

use std::{future::Future, time::Duration};

use tokio::time::{Instant, interval_at};
use tracing::{error, warn};
use weir_process::Latch;

use crate::output::eprint_line;

/// How long a server may be away at the start. Containers start in any order, and a database takes its time.
pub(crate) const START_TIMEOUT: Duration = Duration::from_secs(60);
/// The pauses between attempts at the start. A server that comes back is used within a second.
pub(crate) const FIRST_PAUSE: Duration = Duration::from_millis(500);
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(1);
const NOTICE_EVERY: Duration = Duration::from_secs(5);

/// Awaits `ready`, and reports every 5 s that `dependency` is waited for: in the log, or on standard error if
/// there is none.
pub(crate) async fn with_wait_notice<F: Future>(dependency: &str, ready: F) -> F::Output {
    let started = Instant::now();
    let mut notice = interval_at(started + NOTICE_EVERY, NOTICE_EVERY);
    tokio::pin!(ready);
    loop {
        tokio::select! {
            output = &mut ready => return output,
            _ = notice.tick() => {
                let waited_s = started.elapsed().as_secs();
                if tracing::dispatcher::has_been_set() {
                    warn!(dependency, waited_s, "still waiting for a dependency");
                } else {
                    eprint_line(format_args!("weir: still waiting for {dependency} ({waited_s} s)"));
                }
            }
        }
    }
}

/// Reports why a role waits. The log repeats no reason, because attempts follow each other quickly.
pub(crate) struct WaitReport<'a> {
    dependency: &'static str,
    latches: &'a [&'a Latch],
    logged: String,
}

impl<'a> WaitReport<'a> {
    /// `dependency` is `journal` or `database`; `latches` are its latches in the roles that wait.
    pub(crate) fn new(dependency: &'static str, latches: &'a [&'a Latch]) -> Self {
        Self { dependency, latches, logged: String::new() }
    }

    pub(crate) fn report(&mut self, reason: &str) {
        self.latches.iter().for_each(|latch| latch.set(Err(reason.to_owned())));
        if self.logged != reason {
            error!(reason, "the role waits for its {}", self.dependency);
            reason.clone_into(&mut self.logged);
        }
    }
}
