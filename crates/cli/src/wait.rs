//! Servers that are not there yet, or slow, are waited for, and it is said that they are.

use std::{future::Future, time::Duration};

use tokio::time::{Instant, interval_at};
use tracing::warn;

use crate::output::complain;

/// How long a server may be away at the start. Containers start in any order, and a database takes its time.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
const SAY_EVERY: Duration = Duration::from_secs(5);

/// Awaits `ready`, saying every 5 s that `dependency` is waited for: in the log, or on standard error where there is none.
pub(crate) async fn patiently<F: Future>(dependency: &str, ready: F) -> F::Output {
    let started = Instant::now();
    let mut say = interval_at(started + SAY_EVERY, SAY_EVERY);
    tokio::pin!(ready);
    loop {
        tokio::select! {
            output = &mut ready => return output,
            _ = say.tick() => {
                let waited_s = started.elapsed().as_secs();
                if tracing::dispatcher::has_been_set() {
                    warn!(dependency, waited_s, "still waiting for a dependency");
                } else {
                    complain(format_args!("weir: still waiting for {dependency} ({waited_s} s)"));
                }
            }
        }
    }
}
