//! Retry policy: the failures that a retry may avoid, the budget of retries, and the pause before one.

use std::{
    error::Error,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use tonic::{Code, Status, TimeoutExpired};
use weir_process::{Reason, retry::Backoff};

/// First attempts that pay for one retry. However long an outage is, the edge makes at most 20 % more calls than
/// requested.
const CALLS_PER_RETRY: u32 = 5;
/// The most retries that the budget saves. An instance that dies loses all of its calls in flight, and each one is
/// retried.
const MAX_SAVED_RETRIES: u32 = 64;
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The kind of a failed call, which decides about a retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CallFailure {
    /// No connection to the instance, or a lost one. The call may have taken effect.
    Lost,
    /// The instance can't reach its journal or store. Another instance may still reach it.
    Refused,
    /// A retry would fail too: a bad call, a full journal, an overload or an expired deadline.
    Final,
}

impl CallFailure {
    pub(super) fn of(status: &Status) -> Self {
        match Reason::of(status) {
            Some(Reason::JournalUnavailable | Reason::StoreUnavailable) => return Self::Refused,
            Some(
                Reason::InvalidRequest | Reason::QuotaExceeded | Reason::JournalFull | Reason::Overloaded,
            ) => return Self::Final,
            None => {}
        }
        // A status that the instance sent has no source; an error of the connection has one.
        let is_connection_error = status.source().is_some_and(|source| !is_timeout(source));
        match status.code() {
            Code::Unavailable => Self::Lost,
            Code::Cancelled | Code::Unknown | Code::Internal if is_connection_error => Self::Lost,
            _ => Self::Final,
        }
    }
}

/// Whether the edge's own deadline ended the call.
fn is_timeout(error: &(dyn Error + 'static)) -> bool {
    error.is::<TimeoutExpired>() || error.source().is_some_and(is_timeout)
}

/// The budget of retries. First attempts pay for them, so that an outage can't cause a storm of retries.
///
/// tower's `TpsBudget` is no replacement. Its deposits expire, so that it denies the first retry after a quiet
/// minute. Its reserve is a rate per second, which exceeds 20 % of a slow stream of calls.
#[derive(Debug)]
pub(super) struct RetryBudget {
    /// Counted in first attempts.
    balance: AtomicU32,
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self { balance: AtomicU32::new(MAX_SAVED_RETRIES * CALLS_PER_RETRY) }
    }
}

impl RetryBudget {
    /// Records the first attempt of a call.
    pub(super) fn deposit(&self) {
        let more = |balance: u32| Some((balance + 1).min(MAX_SAVED_RETRIES * CALLS_PER_RETRY));
        // The closure always returns a value, so the update can't fail.
        let _ = self.balance.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
    }

    /// Pays for one retry. Returns `false` where the balance is too low.
    #[must_use]
    pub(super) fn withdraw(&self) -> bool {
        let less = |balance: u32| balance.checked_sub(CALLS_PER_RETRY);
        self.balance.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }
}

/// The pauses between the attempts of one call. Half of each is random, so that the callers of a dead instance don't
/// reach the next one all at once.
pub(super) fn backoff() -> Backoff {
    Backoff::new(FIRST_PAUSE, LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use weir_process::refuse;

    use super::*;

    #[test]
    fn a_retry_follows_only_failures_that_it_may_avoid() {
        for (reason, failure) in [
            (Reason::JournalUnavailable, CallFailure::Refused),
            (Reason::StoreUnavailable, CallFailure::Refused),
            (Reason::JournalFull, CallFailure::Final),
            (Reason::Overloaded, CallFailure::Final),
            (Reason::QuotaExceeded, CallFailure::Final),
            (Reason::InvalidRequest, CallFailure::Final),
        ] {
            assert_eq!(CallFailure::of(&refuse(reason, "x", &[])), failure, "{reason:?}");
        }
        assert_eq!(CallFailure::of(&Status::unavailable("tcp connect error")), CallFailure::Lost);
        assert_eq!(CallFailure::of(&Status::cancelled("Timeout expired")), CallFailure::Final);
        assert_eq!(CallFailure::of(&Status::unknown("sent by the instance")), CallFailure::Final);
        let with_source = |mut status: Status, source: Arc<dyn Error + Send + Sync>| {
            status.set_source(source);
            CallFailure::of(&status)
        };
        let reset = Arc::new(std::io::Error::from(std::io::ErrorKind::ConnectionReset));
        assert_eq!(with_source(Status::unknown("transport error"), reset.clone()), CallFailure::Lost);
        assert_eq!(with_source(Status::cancelled("operation was canceled"), reset), CallFailure::Lost);
        let expired = Arc::new(TimeoutExpired(()));
        assert_eq!(with_source(Status::cancelled("Timeout expired"), expired), CallFailure::Final);
    }

    #[test]
    fn calls_pay_for_retries() {
        let budget = RetryBudget::default();
        while budget.withdraw() {}
        for _ in 0..CALLS_PER_RETRY {
            assert!(!budget.withdraw());
            budget.deposit();
        }
        assert!(budget.withdraw());
        assert!(!budget.withdraw());
        for _ in 0..10 * MAX_SAVED_RETRIES * CALLS_PER_RETRY {
            budget.deposit();
        }
        assert_eq!((0..).take_while(|_| budget.withdraw()).count(), MAX_SAVED_RETRIES as usize);
    }

    #[test]
    fn pauses_grow_and_are_random() {
        let pauses = || -> Vec<Duration> {
            let mut backoff = backoff();
            (0..30).map(|_| backoff.next_pause()).collect()
        };
        assert!((FIRST_PAUSE / 2..=FIRST_PAUSE).contains(&pauses()[0]));
        assert!((LONGEST_PAUSE / 2..=LONGEST_PAUSE).contains(&pauses()[29]));
        assert!((0..100).any(|_| pauses()[29] != pauses()[29]));
    }
}
