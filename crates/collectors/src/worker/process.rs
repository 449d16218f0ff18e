//! From deliveries to verdicts: stores frames in batches, and halves a batch that the store refuses until one frame is
//! left.

use std::time::{Duration, Instant};

use tracing::Instrument as _;
use weir_event::Service;
use weir_journal::{Content, Delivery, Erasure, Frame, Position};
use weir_process::{Stop, trace};

use super::{
    Worker,
    delivery::DeliveryVerdict,
    retry::Interrupted,
    spans::{self, BatchSpans},
    unreadable::UnreadableDelivery,
};
use crate::store::{FrameOutcome, StoreError, Submission};

/// The most events of one transaction. From a thousand up, the rows per second stay the same, and a shorter transaction
/// lets other collectors wait for less time.
const MAX_EVENTS: usize = 8_192;

/// A frame that waits to be stored.
#[derive(Clone, Copy, Debug)]
pub(super) struct PendingFrame<'a> {
    /// The index of its delivery in the batch.
    pub(super) index: usize,
    /// Its position in the journal.
    pub(super) position: Position,
    pub(super) frame: &'a Frame,
}

impl Worker {
    /// Returns one verdict for each delivery. Where `stop` ends a wait, the journal redelivers the rest at once.
    pub(super) async fn process(
        &self,
        deliveries: &[Delivery],
        spans: &BatchSpans,
        stop: &Stop,
    ) -> Vec<DeliveryVerdict> {
        let mut verdicts = vec![DeliveryVerdict::RetryIn(Duration::ZERO); deliveries.len()];
        let mut readable: Vec<PendingFrame<'_>> = Vec::new();
        let mut erasures: Vec<(usize, Position, &Erasure)> = Vec::new();
        let mut unreadable: Vec<UnreadableDelivery<'_>> = Vec::new();
        for (index, delivery) in deliveries.iter().enumerate() {
            let position = self.position(delivery);
            match delivery.content() {
                Ok(Content::Events(frame)) => readable.push(PendingFrame { index, position, frame }),
                Ok(Content::Erasure(erasure)) => erasures.push((index, position, erasure)),
                Err(error) => unreadable.push(UnreadableDelivery { index, delivery, error }),
            }
        }
        self.process_unreadable(unreadable, &mut verdicts, stop).await;
        let mut batches = batches(readable);
        while let Some(mut batch) = batches.pop() {
            let processed = match self.store_batch(&batch, spans, stop).await {
                Err(Interrupted::Refused(_)) if batch.len() > 1 => {
                    let rest = batch.split_off(batch.len() / 2);
                    batches.extend([rest, batch]);
                    continue;
                }
                Err(Interrupted::Refused(_)) => self.store_and_park_refused(batch[0], spans, stop).await,
                processed => processed,
            };
            if processed.is_err() {
                return verdicts;
            }
            batch.iter().for_each(|pending| verdicts[pending.index] = DeliveryVerdict::Acknowledge);
        }
        // After the frames: an erasure then finds the rows of the frames that came with it.
        for (index, position, erasure) in erasures {
            if !stop.is_cancelled() {
                verdicts[index] = self.process_erasure(erasure, position).await;
            }
        }
        verdicts
    }

    pub(super) fn position(&self, delivery: &Delivery) -> Position {
        Position { journal: self.journal.identity(), sequence: delivery.sequence() }
    }

    /// Stores frames in one transaction and counts their outcomes.
    async fn store_batch(
        &self,
        batch: &[PendingFrame<'_>],
        spans: &BatchSpans,
        stop: &Stop,
    ) -> Result<(), Interrupted> {
        let submissions: Vec<Submission<'_>> =
            batch.iter().map(|pending| Submission::whole(pending.frame).at(pending.position)).collect();
        let outcomes = self.submit_with_retry(batch, &submissions, spans, stop).await?;
        outcomes.iter().for_each(|outcome| self.count(outcome));
        Ok(())
    }

    /// Repeats one transaction until the store has committed or refused it.
    pub(super) async fn submit_with_retry(
        &self,
        batch: &[PendingFrame<'_>],
        submissions: &[Submission<'_>],
        spans: &BatchSpans,
        stop: &Stop,
    ) -> Result<Vec<FrameOutcome>, Interrupted> {
        let events = batch.iter().map(|pending| pending.frame.accepted()).sum();
        let attempt = || self.submit(batch, submissions, events, spans);
        self.with_retry("storing", events, stop, attempt).await
    }

    /// One transaction, traced and measured.
    async fn submit(
        &self,
        batch: &[PendingFrame<'_>],
        submissions: &[Submission<'_>],
        events: u64,
        spans: &BatchSpans,
    ) -> Result<Vec<FrameOutcome>, StoreError> {
        let indexes: Vec<usize> = batch.iter().map(|pending| pending.index).collect();
        let span = spans.transaction(&self.store, events, &indexes);
        let begun = Instant::now();
        let stored = self.store.store(submissions).instrument(span.clone()).await;
        let took = begun.elapsed();
        if let Err(error) = &stored {
            BatchSpans::fail(&span, error);
        }
        // Without a span of its own, the exemplar names a call's trace, which another process may export.
        let trace = trace::context_of(&span)
            .unwrap_or_else(|| spans::first_sampled(batch.iter().map(|pending| pending.frame)));
        self.storing.observe(self.source, batch.len(), events, took, stored.is_ok(), &trace);
        stored
    }

    /// Counts the events of a frame. The worker that recorded a redelivered frame has counted its events before.
    pub(super) fn count(&self, outcome: &FrameOutcome) {
        if outcome.recorded_before {
            self.metrics.redelivered(Service::collector(self.source), self.source);
        } else {
            let processed = outcome.stored + outcome.duplicate;
            self.metrics.processed(
                Service::collector(self.source),
                self.source,
                processed,
                outcome.duplicate,
            );
        }
    }
}

/// Frames in their order, in batches of at most [`MAX_EVENTS`] events. The first batch is the last element, to be
/// popped.
fn batches(readable: Vec<PendingFrame<'_>>) -> Vec<Vec<PendingFrame<'_>>> {
    let mut batches: Vec<Vec<PendingFrame<'_>>> = Vec::new();
    let mut room = 0;
    for pending in readable {
        let events = pending.frame.events.len();
        match batches.last_mut() {
            Some(batch) if events <= room => batch.push(pending),
            _ => {
                batches.push(vec![pending]);
                room = MAX_EVENTS.max(events);
            }
        }
        room -= events;
    }
    batches.reverse();
    batches
}
