//! Waiting for a condition, never for a duration.

use std::{fmt::Debug, future::Future, time::Duration};

use tokio::time::{Instant, sleep};

/// Far beyond what any condition needs on a slow machine that runs several tests at once.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(50);

/// Looks again and again until `look` returns `Ok`; fails with its last `Err` when patience runs out.
pub(crate) async fn eventually<T, E, F>(look: impl FnMut() -> F) -> T
where
    E: Debug,
    F: Future<Output = Result<T, E>>,
{
    within(PATIENCE, look).await
}

/// [`eventually`] with a patience of its own.
pub(crate) async fn within<T, E, F>(patience: Duration, mut look: impl FnMut() -> F) -> T
where
    E: Debug,
    F: Future<Output = Result<T, E>>,
{
    let deadline = Instant::now() + patience;
    loop {
        match look().await {
            Ok(value) => return value,
            Err(seen) if Instant::now() > deadline => panic!("not within {patience:?}; last seen: {seen:?}"),
            Err(_) => sleep(PAUSE).await,
        }
    }
}
