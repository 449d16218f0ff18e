//! Waiting for a condition, never for a duration.

use std::{fmt::Debug, time::Duration};

use tokio::time::{Instant, sleep};

/// Longer than a slow machine under every other story needs; a condition that holds is seen at once.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(50);

/// Looks again and again until `look` returns `Ok`; fails with its last `Err` when patience runs out.
pub async fn eventually<T, E: Debug>(look: impl AsyncFnMut() -> Result<T, E>) -> T {
    within(PATIENCE, look).await
}

/// [`eventually`] with a patience of its own.
pub async fn within<T, E: Debug>(patience: Duration, mut look: impl AsyncFnMut() -> Result<T, E>) -> T {
    let deadline = Instant::now() + patience;
    loop {
        match look().await {
            Ok(value) => return value,
            Err(seen) if Instant::now() > deadline => panic!("not within {patience:?}; last seen: {seen:?}"),
            Err(_) => sleep(PAUSE).await,
        }
    }
}
