//! Servers that are not there yet at the start are waited for, and it is said that they are.

use std::{future::Future, time::Duration};

use tokio::time::{Instant, interval_at};
use tracing::warn;

/// How long a server may be away at the start. Containers start in any order, and a database takes its time.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
const SAY_EVERY: Duration = Duration::from_secs(5);

/// Awaits `ready`, saying every 5 s that `dependency` is waited for.
pub(super) async fn patiently<F: Future>(dependency: &str, ready: F) -> F::Output {
    let started = Instant::now();
    let mut say = interval_at(started + SAY_EVERY, SAY_EVERY);
    tokio::pin!(ready);
    loop {
        tokio::select! {
            output = &mut ready => return output,
            _ = say.tick() => {
                warn!(dependency, waited_s = started.elapsed().as_secs(), "still waiting for a dependency");
            }
        }
    }
}
