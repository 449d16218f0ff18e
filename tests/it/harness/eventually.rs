//! Waiting for a condition, never for a duration.

use std::{fmt::Debug, time::Duration};

use tokio::time::{Instant, sleep};

/// Far beyond what any condition needs on a slow machine that runs several tests at once.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(50);

/// Looks again and again until `look` returns `Ok`; fails with its last `Err` when patience runs out.
pub(crate) async fn eventually<T, E: Debug>(mut look: impl AsyncFnMut() -> Result<T, E>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match look().await {
            Ok(value) => return value,
            Err(seen) if Instant::now() > deadline => panic!("not within {PATIENCE:?}; last seen: {seen:?}"),
            Err(_) => sleep(PAUSE).await,
        }
    }
}
