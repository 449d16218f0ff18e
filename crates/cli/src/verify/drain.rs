//! Waiting until collectors have stored what the journal holds: before that, what is missing is only late.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use weir_event::Source;
use weir_journal::Observer;

const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Waits until no frame waits or is in hand, at most for `patience`; says how many are left.
pub(super) async fn wait(journal: &Observer, patience: Duration) -> anyhow::Result<u64> {
    let deadline = Instant::now() + patience;
    loop {
        let left = backlog(journal).await?;
        if left == 0 || Instant::now() >= deadline {
            return Ok(left);
        }
        sleep(LOOK_EVERY).await;
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
