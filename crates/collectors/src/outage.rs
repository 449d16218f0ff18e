//! The pauses of a job that waits until its database or its journal is back.

use std::{fmt::Display, time::Duration};

use tracing::{debug, info, warn};
use weir_process::{Stop, retry::Backoff};

const FIRST: Duration = Duration::from_millis(100);
/// A job notices within this time that the store is back. It is half of the 10 s within which a fresh event is to be
/// reported after a fault.
const LONGEST: Duration = Duration::from_secs(5);

/// The pauses between the attempts of one outage.
pub(crate) fn backoff() -> Backoff {
    Backoff::new(FIRST, LONGEST)
}

/// The outages of one job: each is logged once when it begins and once when it ends.
#[derive(Debug)]
pub(crate) struct JobOutages {
    /// What the job does, for its log entries.
    job: &'static str,
    backoff: Backoff,
}

impl JobOutages {
    pub(crate) fn of(job: &'static str) -> Self {
        Self { job, backoff: backoff() }
    }

    /// Logs the error that ended the work, and waits before it begins again.
    pub(crate) async fn wait(&mut self, error: &impl Display, stop: &Stop) {
        match self.backoff.is_fresh() {
            true => warn!(%error, "{} is interrupted", self.job),
            false => debug!(%error, "{} is still interrupted", self.job),
        }
        self.backoff.pause(stop).await;
    }

    /// Notes that the work goes on.
    pub(crate) fn end(&mut self) {
        if self.backoff.reset() {
            info!("{} continues", self.job);
        }
    }
}
