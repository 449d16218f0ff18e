//! One worker: takes frames of its source from the journal, has them stored and ends each delivery with one verdict.

mod delivery;
mod erase;
mod process;
mod retry;
mod spans;
mod unreadable;

use std::time::Duration;

use futures::future::join_all;
use tracing::{Instrument as _, info, warn};
use weir_event::{EventMetrics, Source};
use weir_journal::{Consumer, Delivery, Journal, JournalError};
use weir_process::{Stop, retry::Backoff};

use crate::{Failpoint, metrics::StoringMetrics, outage, people::Backlog, store::Store};
use delivery::{DELIVERIES_PER_PULL, DeliveryVerdict, next_deliveries, with_heartbeat};
use spans::BatchSpans;
pub(crate) use unreadable::DeferredFrames;

/// How long one pull waits for the first frame. An idle worker notices a stop no later than this.
const PULL_WAIT: Duration = Duration::from_millis(500);

/// A worker of one source.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) source: Source,
    pub(crate) journal: Journal,
    pub(crate) store: Store,
    pub(crate) metrics: EventMetrics,
    pub(crate) storing: StoringMetrics,
    pub(crate) deferred: DeferredFrames,
    pub(crate) backlog: Backlog,
    /// The interval of heartbeats for deliveries in hand.
    pub(crate) heartbeat_every: Duration,
    pub(crate) failpoint: Option<Failpoint>,
}

impl Worker {
    /// Works until `stop`. Waits out an outage of the journal.
    ///
    /// # Errors
    /// The journal can't be used at all.
    pub(crate) async fn run(self, stop: Stop) -> anyhow::Result<()> {
        let Some(mut consumer) = self.consumer(&stop).await? else { return Ok(()) };
        let mut backoff = outage::backoff();
        let mut most = DELIVERIES_PER_PULL;
        while !stop.is_cancelled() {
            match consumer.next(most, PULL_WAIT).await {
                Ok(deliveries) => {
                    if backoff.reset() {
                        info!("the journal delivers frames again");
                    }
                    if deliveries.len() >= most {
                        self.backlog.note_full_batch();
                    }
                    most = next_deliveries(&deliveries);
                    self.process_batch(deliveries, &stop).await;
                }
                Err(JournalError::Unreachable(reason)) => {
                    self.wait_for_journal(&mut backoff, reason, &stop).await
                }
                Err(unusable @ JournalError::Unusable(_)) => return Err(unusable.into()),
            }
        }
        Ok(())
    }

    /// The journal's consumer; `None` where `stop` came first.
    async fn consumer(&self, stop: &Stop) -> anyhow::Result<Option<Consumer>> {
        let mut backoff = outage::backoff();
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
            warn!(reason, "the journal can't be reached; the worker waits for it");
        }
        backoff.pause(stop).await;
    }

    /// Processes a batch. Heartbeats keep its deliveries in hand meanwhile, and each ends in one verdict.
    async fn process_batch(&self, deliveries: Vec<Delivery>, stop: &Stop) {
        let log_context = spans::log_context(&deliveries);
        let spans = BatchSpans::begin(&self.journal, self.source, &deliveries);
        let processing = self.process_traced(deliveries, &spans, stop).instrument(log_context);
        Box::pin(processing).instrument(spans.receive()).await;
    }

    async fn process_traced(&self, deliveries: Vec<Delivery>, spans: &BatchSpans, stop: &Stop) {
        let processing = Box::pin(self.process(&deliveries, spans, stop));
        let verdicts = with_heartbeat(&deliveries, self.heartbeat_every, processing).await;
        spans.end(&verdicts);
        if verdicts.contains(&DeliveryVerdict::Acknowledge) {
            Failpoint::BeforeAck.abort_if(self.failpoint);
        }
        join_all(deliveries.into_iter().zip(verdicts).map(|(delivery, verdict)| verdict.apply(delivery)))
            .await;
    }
}
