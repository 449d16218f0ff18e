//! A service behind the edge: balances calls over the instances that serve, and retries failed calls.
//!
//! A retry goes to another instance where one serves. It happens only for calls that are harmless to repeat, and only
//! after failures that another attempt may avoid.

mod replica;
mod replicas;
mod retry;

use std::{net::SocketAddr, sync::Arc};

use tokio::time::Instant;
use tonic::{Request, Response, Status};
use url::Url;
use weir_process::{
    CallContext, Latch, Stop,
    diagnosis::{ServerKind, Target},
    grpc::TracedChannel,
    retry::Backoff,
};

use self::{
    replica::Replica,
    replicas::Replicas,
    retry::{CallFailure, RetryBudget, backoff},
};
use crate::metrics::{Retries, RetryOutcome, UpstreamService};

/// The attempts of a query: the first one and one retry.
const MAX_QUERY_ATTEMPTS: usize = 2;

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
        Attempts { upstream: self, deadline, max_attempts, tried: Vec::new(), backoff: backoff() }
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
