//! The wait until collectors have stored the frames of the journal. Before that, a missing event is only
//! late.

use std::time::Duration;

use tokio::time::Instant;
use weir_event::Source;
use weir_journal::Observer;
use weir_process::retry::{Attempt, Retry, RetryError};

const POLL_EVERY: Duration = Duration::from_millis(200);

/// Waits until no frame is waiting or in flight, at most for `max_wait`. Returns the number of frames left.
pub(super) async fn wait(journal: &Observer, max_wait: Duration) -> anyhow::Result<u64> {
    let drained = Retry::every(POLL_EVERY)
        .until(Instant::now() + max_wait)
        .run(|| async {
            match backlog(journal).await {
                Ok(0) => Attempt::Done(()),
                Ok(left) => Attempt::Again(left),
                Err(error) => Attempt::Failed(error),
            }
        })
        .await;
    match drained {
        Ok(()) | Err(RetryError::Stopped) => Ok(0),
        Err(RetryError::DeadlineExceeded(left)) => Ok(left),
        Err(RetryError::Failed(error)) => Err(error),
    }
}

async fn backlog(journal: &Observer) -> anyhow::Result<u64> {
    let mut left = 0;
    for source in Source::ALL {
        let backlog = journal.backlog(*source).await?;
        left += backlog.waiting + backlog.in_flight;
    }
    Ok(left)
}
