//! Repeating what an outage interrupts, for as long as it takes.

use tracing::{debug, info, warn};
use weir_event::{ErrorType, Service};
use weir_journal::AppendError;
use weir_process::Stop;

use super::Worker;
use crate::{backoff::Backoff, store::StoreError};

/// Why an operation is not repeated any more.
#[derive(Debug)]
pub(super) enum Halt {
    /// The worker shall end.
    Stopped,
    /// The store refuses an event of it, for this reason.
    Refused(String),
}

/// One failure of an operation.
pub(super) enum Setback {
    /// It may succeed later.
    Wait(anyhow::Error),
    /// It never will.
    Refused(String),
}

impl From<StoreError> for Setback {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Permanent { reason } => Self::Refused(reason),
            waits @ (StoreError::Transient(_) | StoreError::Outdated(_)) => Self::Wait(waits.into()),
        }
    }
}

/// Dead letters are cut to size and a full stream empties with age: every failure to bury passes.
impl From<AppendError> for Setback {
    fn from(error: AppendError) -> Self {
        Self::Wait(error.into())
    }
}

impl Worker {
    /// Repeats `attempt` until it succeeds, is refused, or `stop` ends a pause; an attempt itself is not cut off.
    /// An outage is told once, when it begins, and once when it ends.
    pub(super) async fn patiently<T, E, F>(
        &self,
        doing: &'static str,
        events: u64,
        stop: &Stop,
        attempt: impl Fn() -> F,
    ) -> Result<T, Halt>
    where
        F: Future<Output = Result<T, E>>,
        Setback: From<E>,
    {
        let mut backoff = Backoff::default();
        loop {
            let error = match attempt().await.map_err(Setback::from) {
                Ok(success) => {
                    if backoff.reset() {
                        info!(doing, "going on after an outage");
                    }
                    return Ok(success);
                }
                Err(Setback::Refused(reason)) => return Err(Halt::Refused(reason)),
                Err(Setback::Wait(error)) => format!("{error:#}"),
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
                return Err(Halt::Stopped);
            }
        }
    }
}
