//! The pauses of a job that waits until its database or its journal is back.

use std::time::Duration;

use weir_process::retry::Backoff;

const FIRST: Duration = Duration::from_millis(100);
/// A job notices within this time that the store is back. It is half of the 10 s within which a fresh event is to be
/// reported after a fault.
const LONGEST: Duration = Duration::from_secs(5);

/// The pauses between the attempts of one outage.
pub(crate) fn backoff() -> Backoff {
    Backoff::new(FIRST, LONGEST)
}
