//! Waits for a condition, never for a duration.

use std::{fmt::Debug, time::Duration};

use tokio::time::{Instant, sleep};

/// Longer than a slow machine needs that runs every other story too. A condition that holds ends the wait at once.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// Calls `look` until it returns `Ok`; fails with its last `Err` after 60 s.
pub async fn eventually<T, E: Debug>(look: impl AsyncFnMut() -> Result<T, E>) -> T {
    within(TIMEOUT, look).await
}

/// [`eventually`] with a timeout.
pub async fn within<T, E: Debug>(timeout: Duration, mut look: impl AsyncFnMut() -> Result<T, E>) -> T {
    let deadline = Instant::now() + timeout;
    loop {
        match look().await {
            Ok(value) => return value,
            Err(seen) if Instant::now() > deadline => panic!("not within {timeout:?}; last seen: {seen:?}"),
            Err(_) => sleep(PAUSE).await,
        }
    }
}
