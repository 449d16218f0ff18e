//! Retries of an operation that an outage interrupts, for as long as the outage lasts.

use tracing::{debug, info, warn};
use weir_event::{ErrorType, Service};
use weir_journal::AppendError;
use weir_process::Stop;

use super::Worker;
use crate::{outage, store::StoreError};

/// The reason for which an operation is not retried any more.
#[derive(Debug)]
pub(super) enum Interrupted {
    /// The worker stops.
    Stopped,
    /// The store refuses an event of it, for this reason.
    Refused(String),
}

/// One failed attempt.
pub(super) enum Failure {
    /// A later attempt may succeed.
    Transient(anyhow::Error),
    /// No attempt will succeed, for this reason.
    Permanent(String),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Permanent { reason } => Self::Permanent(reason),
            transient @ (StoreError::Transient(_) | StoreError::Outdated(_)) => {
                Self::Transient(transient.into())
            }
        }
    }
}

/// Every failure to append a dead letter is transient: letters are cut to size, and a full stream empties with age.
impl From<AppendError> for Failure {
    fn from(error: AppendError) -> Self {
        Self::Transient(error.into())
    }
}

impl Worker {
    /// Repeats `attempt` until it succeeds, fails permanently, or `stop` ends a pause. A running attempt is not cut
    /// off. An outage is logged once when it begins and once when it ends. `events` is how many events each failure
    /// counts.
    ///
    /// # Errors
    /// [`Interrupted::Refused`] after a permanent failure, [`Interrupted::Stopped`] after `stop`.
    pub(super) async fn with_retry<T, E, F>(
        &self,
        doing: &'static str,
        events: u64,
        stop: &Stop,
        attempt: impl Fn() -> F,
    ) -> Result<T, Interrupted>
    where
        F: Future<Output = Result<T, E>>,
        Failure: From<E>,
    {
        let mut backoff = outage::backoff();
        loop {
            let error = match attempt().await.map_err(Failure::from) {
                Ok(success) => {
                    if backoff.reset() {
                        info!(doing, "going on after an outage");
                    }
                    return Ok(success);
                }
                Err(Failure::Permanent(reason)) => return Err(Interrupted::Refused(reason)),
                Err(Failure::Transient(error)) => format!("{error:#}"),
            };
            self.metrics.failed(
                Service::collector(self.source),
                Some(self.source),
                ErrorType::Transient,
                events,
            );
            if backoff.is_fresh() {
                warn!(doing, events, error, "trying again until it works");
            } else {
                debug!(doing, events, error, "still trying");
            }
            backoff.pause(stop).await;
            if stop.is_cancelled() {
                return Err(Interrupted::Stopped);
            }
        }
    }
}
