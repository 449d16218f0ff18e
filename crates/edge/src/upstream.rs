//! A service behind the edge: calls go round the instances that serve, and are made again elsewhere where that is
//! harmless and may help.

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
};

use self::{
    replica::Replica,
    replicas::Replicas,
    retry::{Failure, RetryBudget, pause},
};
use crate::metrics::{Outcome, Retries, Service};

/// How often a question is put.
const MOST_QUESTIONS: usize = 2;

/// One service and everything that is known of its instances. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Upstream {
    service: Service,
    replicas: Replicas,
    budget: Arc<RetryBudget>,
    retries: Retries,
}

/// The attempts of one call that may be repeated, because doing it twice is as good as once.
#[derive(Debug)]
pub(crate) struct Attempts<'a> {
    upstream: &'a Upstream,
    /// None begins after it.
    deadline: Instant,
    most: usize,
    /// The last one is under way, or has failed.
    tried: Vec<Arc<Replica>>,
}

impl Upstream {
    /// Looks the addresses up, and connects to nothing yet.
    pub(crate) async fn find(service: Service, addresses: &[Url], retries: Retries) -> Self {
        let (setting, kind) = match service {
            Service::Ingest => ("INGEST_URL", ServerKind::Ingest),
            Service::Reporting => ("REPORTING_URL", ServerKind::Reporting),
        };
        let target = |url: &Url| Target { url: url.clone(), setting, kind, instance: None };
        let replicas = Replicas::find(addresses.iter().map(target).collect()).await;
        Self { service, replicas, budget: Arc::default(), retries }
    }

    /// Sets `latch` once a second by whether at least one instance serves, and looks names up again from time to
    /// time.
    pub(crate) fn watch(&self, latch: Latch, stop: &Stop) {
        self.replicas.watch(latch, stop);
    }

    /// At most `most` attempts, all before `deadline`.
    pub(crate) fn attempts(&self, deadline: Instant, most: usize) -> Attempts<'_> {
        self.budget.earn();
        Attempts { upstream: self, deadline, most, tried: Vec::new() }
    }

    /// Asks a question, which changes nothing, and once more where the first answer was lost.
    ///
    /// # Errors
    /// The last failure; DEADLINE_EXCEEDED where no answer came before `deadline`.
    pub(crate) async fn ask<Q: Clone, A, F>(
        &self,
        question: Q,
        context: &CallContext,
        deadline: Instant,
        rpc: impl Fn(TracedChannel, Request<Q>) -> F,
    ) -> Result<A, Status>
    where
        F: Future<Output = Result<Response<A>, Status>>,
    {
        let mut attempts = self.attempts(deadline, MOST_QUESTIONS);
        let asking = async {
            loop {
                let mut request = Request::new(question.clone());
                context.write_metadata(request.metadata_mut());
                request.set_timeout(deadline.saturating_duration_since(Instant::now()));
                match rpc(attempts.channel()?, request).await {
                    Ok(answer) => return Ok(answer.into_inner()),
                    Err(failure) => attempts.after(failure).await?,
                }
            }
        };
        let answered = tokio::time::timeout_at(deadline, Box::pin(asking)).await;
        answered.unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer in time")))
    }
}

impl Attempts<'_> {
    /// The channel of the next attempt: to an instance that serves and was not tried yet, where there is one.
    ///
    /// # Errors
    /// No address is known.
    pub(crate) fn channel(&mut self) -> Result<TracedChannel, Status> {
        let replica = self.upstream.replicas.choose(&self.addresses());
        let replica = replica.ok_or_else(|| Status::unavailable("no instance is known"))?;
        let channel = replica.channel();
        self.tried.push(replica);
        Ok(channel)
    }

    /// Returns when the next attempt shall be made.
    ///
    /// # Errors
    /// The failure, where another attempt would do harm, would not help, or would come too late or too often.
    pub(crate) async fn after(&mut self, failure: Status) -> Result<(), Status> {
        let worthwhile = match Failure::of(&failure) {
            Failure::Final => false,
            Failure::Refused => self.upstream.replicas.another_serves(&self.addresses()),
            Failure::Lost => {
                self.tried.last().inspect(|replica| replica.leave_out());
                true
            }
        };
        let pause = pause(self.tried.len());
        if !worthwhile || self.tried.len() >= self.most || Instant::now() + pause >= self.deadline {
            return Err(failure);
        }
        let affordable = self.upstream.budget.spend();
        let outcome = if affordable { Outcome::Made } else { Outcome::Denied };
        self.upstream.retries.count(self.upstream.service, outcome);
        if !affordable {
            return Err(failure);
        }
        tokio::time::sleep(pause).await;
        Ok(())
    }

    fn addresses(&self) -> Vec<SocketAddr> {
        self.tried.iter().map(|replica| replica.address()).collect()
    }
}
