//! One worker: takes frames of its source, sees to it that they are stored, and gives each delivery its verdict.

mod dead_letter_match;
mod erase;
mod heartbeat;
mod log_context;
mod park;
mod process;
mod retry;
mod spans;
mod unreadable;
mod unsupported_version;

use std::time::Duration;

use futures::future::join_all;
use tracing::{Instrument as _, debug, info, warn};
use weir_event::{Metrics, Source};
use weir_journal::{Consumer, Delivery, Journal, JournalError};
use weir_process::Stop;

use crate::{Failpoint, backoff::Backoff, metrics::StoringMetrics, people::Backlog, store::Store};
use spans::BatchSpans;
pub(crate) use unsupported_version::NewerFrames;

/// Frames in hand at once: few, because a worker that freezes holds them from its peers.
const MAX_FRAMES: usize = 32;
/// How long one pull waits for the first frame, and so how long a stop may wait for an idle worker.
const PULL_WAIT: Duration = Duration::from_millis(500);

/// A worker of one source.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) source: Source,
    pub(crate) journal: Journal,
    pub(crate) store: Store,
    pub(crate) metrics: Metrics,
    pub(crate) storing: StoringMetrics,
    pub(crate) newer: NewerFrames,
    pub(crate) backlog: Backlog,
    pub(crate) progress_every: Duration,
    pub(crate) failpoint: Option<Failpoint>,
}

/// How a delivery ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// Everything of it is stored or parked.
    Done,
    /// It is somebody else's, after a while.
    Later(Duration),
}

impl Worker {
    /// Works until `stop`.
    pub(crate) async fn run(self, stop: Stop) -> anyhow::Result<()> {
        let Some(mut consumer) = self.consumer(&stop).await? else { return Ok(()) };
        let mut backoff = Backoff::default();
        while !stop.is_cancelled() {
            match consumer.next(MAX_FRAMES, PULL_WAIT).await {
                Ok(deliveries) => {
                    if backoff.reset() {
                        info!("frames come again");
                    }
                    if deliveries.len() >= MAX_FRAMES {
                        self.backlog.note();
                    }
                    self.settle(deliveries, &stop).await;
                }
                Err(JournalError::Unreachable(reason)) => {
                    self.wait_for_journal(&mut backoff, reason, &stop).await
                }
                Err(unusable @ JournalError::Unusable(_)) => return Err(unusable.into()),
            }
        }
        Ok(())
    }

    /// The journal's consumer; none where `stop` came first.
    async fn consumer(&self, stop: &Stop) -> anyhow::Result<Option<Consumer>> {
        let mut backoff = Backoff::default();
        while !stop.is_cancelled() {
            match self.journal.consumer(self.source).await {
                Ok(consumer) => return Ok(Some(consumer)),
                Err(JournalError::Unreachable(reason)) => {
                    self.wait_for_journal(&mut backoff, reason, stop).await
                }
                Err(unusable @ JournalError::Unusable(_)) => return Err(unusable.into()),
            }
        }
        Ok(None)
    }

    async fn wait_for_journal(&self, backoff: &mut Backoff, reason: String, stop: &Stop) {
        if backoff.is_fresh() {
            warn!(reason, "no frames come");
        }
        backoff.pause(stop).await;
    }

    /// Sees to a batch: each delivery is kept alive until all of them are seen to, and ends in one verdict.
    async fn settle(&self, deliveries: Vec<Delivery>, stop: &Stop) {
        let calls = log_context::logged(&deliveries);
        let spans = BatchSpans::begin(&self.journal, self.source, &deliveries);
        let settling = self.settle_traced(deliveries, &spans, stop).instrument(calls);
        Box::pin(settling).instrument(spans.receive()).await;
    }

    async fn settle_traced(&self, deliveries: Vec<Delivery>, spans: &BatchSpans, stop: &Stop) {
        let seeing_to = Box::pin(self.see_to(&deliveries, spans, stop));
        let verdicts = heartbeat::while_held(&deliveries, self.progress_every, seeing_to).await;
        spans.end(&verdicts);
        if verdicts.contains(&Verdict::Done) {
            Failpoint::BeforeAck.pass(self.failpoint);
        }
        join_all(deliveries.into_iter().zip(verdicts).map(|(delivery, verdict)| verdict.pronounce(delivery)))
            .await;
    }
}

impl Verdict {
    /// A journal that does not hear it offers the frame again, and the frame's id makes that harmless.
    async fn pronounce(self, delivery: Delivery) {
        let heard = match self {
            Self::Done => delivery.ack().await,
            Self::Later(delay) => delivery.retry_in(delay).await,
        };
        if let Err(error) = heard {
            debug!(%error, "a verdict was not heard");
        }
    }
}
