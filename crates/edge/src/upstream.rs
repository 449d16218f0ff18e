//! A service behind the edge: balances calls over the instances that serve, and retries failed calls.
//!
//! A retry goes to another instance where one serves. It happens only for calls that are harmless to repeat, and only
//! after failures that another attempt may avoid.

mod replica;
mod replicas;

use std::{
    error::Error,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;
use tonic::{Code, Request, Response, Status, TimeoutExpired};
use url::Url;
use weir_process::{
    CallContext, Latch, Reason, Stop,
    diagnosis::{ServerKind, Target},
    grpc::TracedChannel,
    retry::Backoff,
};

use self::{replica::Replica, replicas::Replicas};
use crate::metrics::{Retries, RetryOutcome, UpstreamService};

/// The attempts of a query: the first one and one retry.
const MAX_QUERY_ATTEMPTS: usize = 2;

/// First attempts that pay for one retry. However long an outage is, the edge makes at most 20 % more calls than
/// requested.
const CALLS_PER_RETRY: u32 = 5;
/// The most retries that the budget saves. An instance that dies loses all of its calls in flight, and each one is
/// retried.
const MAX_SAVED_RETRIES: u32 = 64;
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// One service and its instances. Cheap to clone; all clones share one state.
#[derive(Clone, Debug)]
pub(crate) struct Upstream {
    service: UpstreamService,
    replicas: Replicas,
    budget: Arc<RetryBudget>,
    retries: Retries,
}

/// The attempts of one call, which is idempotent: making it twice has the effect of making it once.
#[derive(Debug)]
pub(crate) struct Attempts<'a> {
    upstream: &'a Upstream,
    /// No attempt begins after it.
    deadline: Instant,
    max_attempts: usize,
    /// The instances of all attempts. The last attempt is running or has failed.
    tried: Vec<Arc<Replica>>,
    backoff: Backoff,
}

impl Upstream {
    /// Resolves the addresses. It opens no connection yet.
    pub(crate) async fn resolve(service: UpstreamService, addresses: &[Url], retries: Retries) -> Self {
        let (setting, kind) = match service {
            UpstreamService::Ingest => ("INGEST_URL", ServerKind::Ingest),
            UpstreamService::Reporting => ("REPORTING_URL", ServerKind::Reporting),
        };
        let target = |url: &Url| Target { url: url.clone(), setting, kind, instance: None };
        let replicas = Replicas::resolve(addresses.iter().map(target).collect()).await;
        Self { service, replicas, budget: Arc::default(), retries }
    }

    /// Sets `latch` once a second to whether at least one instance serves, and resolves names again every 5 s, until
    /// `stop`.
    pub(crate) fn watch(&self, latch: Latch, stop: &Stop) {
        self.replicas.watch(latch, stop);
    }

    /// Begins a call with at most `max_attempts` attempts, which all begin before `deadline`.
    pub(crate) fn attempts(&self, deadline: Instant, max_attempts: usize) -> Attempts<'_> {
        self.budget.deposit();
        Attempts { upstream: self, deadline, max_attempts, tried: Vec::new(), backoff: retry_backoff() }
    }

    /// Makes a call that only reads, and retries it once where the first response was lost.
    ///
    /// # Errors
    /// The last failure; DEADLINE_EXCEEDED where no response came before `deadline`.
    pub(crate) async fn query<Q: Clone, A, F>(
        &self,
        message: Q,
        context: &CallContext,
        deadline: Instant,
        rpc: impl Fn(TracedChannel, Request<Q>) -> F,
    ) -> Result<A, Status>
    where
        F: Future<Output = Result<Response<A>, Status>>,
    {
        let mut attempts = self.attempts(deadline, MAX_QUERY_ATTEMPTS);
        let calling = async {
            loop {
                let mut request = Request::new(message.clone());
                context.write_metadata(request.metadata_mut());
                request.set_timeout(deadline.saturating_duration_since(Instant::now()));
                match rpc(attempts.channel()?, request).await {
                    Ok(response) => return Ok(response.into_inner()),
                    Err(failure) => attempts.retry_after(failure).await?,
                }
            }
        };
        let response = tokio::time::timeout_at(deadline, Box::pin(calling)).await;
        response.unwrap_or_else(|_| Err(Status::deadline_exceeded("the service did not respond in time")))
    }
}

impl Attempts<'_> {
    /// The channel of the next attempt. It prefers an instance that serves and was not tried yet.
    ///
    /// # Errors
    /// UNAVAILABLE where no address is known.
    pub(crate) fn channel(&mut self) -> Result<TracedChannel, Status> {
        let replica = self.upstream.replicas.choose(&self.addresses());
        let replica = replica.ok_or_else(|| Status::unavailable("no instance is known"))?;
        let channel = replica.channel();
        self.tried.push(replica);
        Ok(channel)
    }

    /// Waits until the next attempt may begin.
    ///
    /// # Errors
    /// `failure`, where a retry would not help, would begin after the deadline, or exceeds the attempts or the budget.
    pub(crate) async fn retry_after(&mut self, failure: Status) -> Result<(), Status> {
        let may_help = match CallFailure::of(&failure) {
            CallFailure::Final => false,
            CallFailure::Refused => self.upstream.replicas.another_serves(&self.addresses()),
            CallFailure::Lost => {
                self.tried.last().inspect(|replica| replica.mark_unhealthy());
                true
            }
        };
        let pause = self.backoff.next_pause();
        if !may_help || self.tried.len() >= self.max_attempts || Instant::now() + pause >= self.deadline {
            return Err(failure);
        }
        let is_within_budget = self.upstream.budget.withdraw();
        let outcome = if is_within_budget { RetryOutcome::Made } else { RetryOutcome::Denied };
        self.upstream.retries.count(self.upstream.service, outcome);
        if !is_within_budget {
            return Err(failure);
        }
        tokio::time::sleep(pause).await;
        Ok(())
    }

    fn addresses(&self) -> Vec<SocketAddr> {
        self.tried.iter().map(|replica| replica.address()).collect()
    }
}

/// The kind of a failed call, which decides about a retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CallFailure {
    /// No connection to the instance, or a lost one. The call may have taken effect.
    Lost,
    /// The instance can't reach its journal or store. Another instance may still reach it.
    Refused,
    /// A retry would fail too: a bad call, a full journal, an overload or an expired deadline.
    Final,
}

impl CallFailure {
    fn of(status: &Status) -> Self {
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
struct RetryBudget {
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
    fn deposit(&self) {
        let more = |balance: u32| Some((balance + 1).min(MAX_SAVED_RETRIES * CALLS_PER_RETRY));
        // The closure always returns a value, so the update can't fail.
        let _ = self.balance.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
    }

    /// Pays for one retry. Returns `false` where the balance is too low.
    #[must_use]
    fn withdraw(&self) -> bool {
        let less = |balance: u32| balance.checked_sub(CALLS_PER_RETRY);
        self.balance.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }
}

/// The pauses between the attempts of one call. Half of each is random, so that the callers of a dead instance don't
/// reach the next one all at once.
fn retry_backoff() -> Backoff {
    Backoff::new(FIRST_PAUSE, LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
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
            let mut backoff = retry_backoff();
            (0..30).map(|_| backoff.next_pause()).collect()
        };
        assert!((FIRST_PAUSE / 2..=FIRST_PAUSE).contains(&pauses()[0]));
        assert!((LONGEST_PAUSE / 2..=LONGEST_PAUSE).contains(&pauses()[29]));
        assert!((0..100).any(|_| pauses()[29] != pauses()[29]));
    }
}
