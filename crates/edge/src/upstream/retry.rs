//! When a failed call is worth another attempt, and how many the edge may make in all.

use std::{
    error::Error,
    hash::{BuildHasher as _, RandomState},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use tonic::{Code, Status, TimeoutExpired};
use weir_process::Reason;

/// How many calls pay for one retry: at most 20 % more calls than were asked for, however long an outage is.
const CALLS_PER_RETRY: u32 = 5;
/// Retries that are saved up in good times: an instance that dies takes the calls that it has with it.
const MOST_SAVED: u32 = 64;
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// What a failed call means for the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The connection to the instance is not there or was lost: what became of the call is unknown.
    Lost,
    /// The instance says that what it stands on is away; another one may still reach it.
    Refused,
    /// Again would be no better: a bad call, a full journal, an overload, a deadline that is over.
    Final,
}

impl Failure {
    pub(super) fn of(status: &Status) -> Self {
        match Reason::of(status) {
            Some(Reason::JournalUnavailable | Reason::StoreUnavailable) => return Self::Refused,
            Some(
                Reason::InvalidRequest | Reason::QuotaExceeded | Reason::JournalFull | Reason::Overloaded,
            ) => return Self::Final,
            None => {}
        }
        // What an instance said itself has no source; what was found out about its connection has one.
        let of_the_connection = status.source().is_some_and(|source| !is_timeout(source));
        match status.code() {
            Code::Unavailable => Self::Lost,
            Code::Cancelled | Code::Unknown | Code::Internal if of_the_connection => Self::Lost,
            _ => Self::Final,
        }
    }
}

/// Whether it was our own deadline that ended the call.
fn is_timeout(error: &(dyn Error + 'static)) -> bool {
    error.is::<TimeoutExpired>() || error.source().is_some_and(is_timeout)
}

/// Retries that may be made: calls earn them, so that they can't become a storm.
#[derive(Debug)]
pub(super) struct RetryBudget {
    /// In calls.
    saved: AtomicU32,
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self { saved: AtomicU32::new(MOST_SAVED * CALLS_PER_RETRY) }
    }
}

impl RetryBudget {
    /// One more call is made for the first time.
    pub(super) fn earn(&self) {
        let more = |saved: u32| Some((saved + 1).min(MOST_SAVED * CALLS_PER_RETRY));
        // The update never refuses.
        let _ = self.saved.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
    }

    /// Whether one may be made again; then it is paid for.
    pub(super) fn spend(&self) -> bool {
        let less = |saved: u32| saved.checked_sub(CALLS_PER_RETRY);
        self.saved.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }
}

/// Before the attempt after the `made`th one: doubling, with half of it left to chance, so that the callers of an
/// instance that died don't come to the next one all at once.
pub(super) fn pause(made: usize) -> Duration {
    let doublings = u32::try_from(made.saturating_sub(1)).unwrap_or(u32::MAX).min(10);
    let longest = LONGEST_PAUSE.min(FIRST_PAUSE * 2_u32.pow(doublings));
    let chance = RandomState::new().hash_one(made) as f64 / u64::MAX as f64;
    longest.mul_f64(0.5 + chance / 2.0)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use weir_process::refuse;

    use super::*;

    #[test]
    fn only_what_may_help_is_tried_again() {
        for (reason, failure) in [
            (Reason::JournalUnavailable, Failure::Refused),
            (Reason::StoreUnavailable, Failure::Refused),
            (Reason::JournalFull, Failure::Final),
            (Reason::Overloaded, Failure::Final),
            (Reason::QuotaExceeded, Failure::Final),
            (Reason::InvalidRequest, Failure::Final),
        ] {
            assert_eq!(Failure::of(&refuse(reason, "x", &[])), failure, "{reason:?}");
        }
        assert_eq!(Failure::of(&Status::unavailable("tcp connect error")), Failure::Lost);
        assert_eq!(Failure::of(&Status::cancelled("Timeout expired")), Failure::Final);
        assert_eq!(Failure::of(&Status::unknown("said by the instance")), Failure::Final);
        let with_source = |mut status: Status, source: Arc<dyn Error + Send + Sync>| {
            status.set_source(source);
            Failure::of(&status)
        };
        let reset = Arc::new(std::io::Error::from(std::io::ErrorKind::ConnectionReset));
        assert_eq!(with_source(Status::unknown("transport error"), reset.clone()), Failure::Lost);
        assert_eq!(with_source(Status::cancelled("operation was canceled"), reset), Failure::Lost);
        let expired = Arc::new(TimeoutExpired(()));
        assert_eq!(with_source(Status::cancelled("Timeout expired"), expired), Failure::Final);
    }

    #[test]
    fn retries_are_earned_by_calls() {
        let budget = RetryBudget::default();
        while budget.spend() {}
        for _ in 0..CALLS_PER_RETRY {
            assert!(!budget.spend());
            budget.earn();
        }
        assert!(budget.spend());
        assert!(!budget.spend());
        for _ in 0..10 * MOST_SAVED * CALLS_PER_RETRY {
            budget.earn();
        }
        assert_eq!((0..).take_while(|_| budget.spend()).count(), MOST_SAVED as usize);
    }

    #[test]
    fn pauses_grow_and_differ() {
        assert!((FIRST_PAUSE / 2..=FIRST_PAUSE).contains(&pause(1)));
        assert!((LONGEST_PAUSE / 2..=LONGEST_PAUSE).contains(&pause(30)));
        assert!((0..100).any(|_| pause(30) != pause(30)));
    }
}
