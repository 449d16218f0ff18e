//! From deliveries to verdicts: stores frames in batches, and halves a batch that the store refuses until one frame is
//! left. Of a frame that the store refuses, the refused events move to the dead letters, and the rest is stored.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use tracing::{Instrument as _, error};
use weir_event::{ErrorType, Service};
use weir_journal::{Content, DeadLetter, DeadLetterStream, Delivery, Erasure, Frame, Position};
use weir_process::{Stop, trace};

use super::{
    Worker,
    delivery::{DeliveryVerdict, MAX_EVENTS},
    retry::Interrupted,
    spans::{self, BatchSpans},
    unreadable::UnreadableDelivery,
};
use crate::{
    outage,
    store::{FrameOutcome, RefusedEvent, StoreError, Submission},
};

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

    /// Stores a frame that the store refused as a whole. Its refused events are durable as dead letters before the
    /// frame's accounts count them as parked.
    pub(super) async fn store_and_park_refused(
        &self,
        pending: PendingFrame<'_>,
        spans: &BatchSpans,
        stop: &Stop,
    ) -> Result<(), Interrupted> {
        let frame = pending.frame;
        let mut parked = BTreeSet::new();
        let mut backoff = outage::backoff();
        loop {
            self.park_refused(frame, &mut parked, stop).await?;
            let rest = [Submission::without(frame, &parked).at(pending.position)];
            let reason = match self.submit_with_retry(&[pending], &rest, spans, stop).await {
                Ok(outcomes) => {
                    outcomes.iter().for_each(|outcome| self.count(outcome));
                    return Ok(());
                }
                Err(Interrupted::Refused(reason)) => reason,
                Err(Interrupted::Stopped) => return Err(Interrupted::Stopped),
            };
            // The store refuses the events together and takes each alone. No event is known to be at fault, so the
            // worker waits: nothing is lost by that.
            error!(frame = frame.id, reason, "the store refuses a frame but none of its events");
            backoff.pause(stop).await;
            if stop.is_cancelled() {
                return Err(Interrupted::Stopped);
            }
        }
    }

    /// Appends a dead letter for each event that the store refuses and that is not in `parked` yet.
    async fn park_refused(
        &self,
        frame: &Frame,
        parked: &mut BTreeSet<usize>,
        stop: &Stop,
    ) -> Result<(), Interrupted> {
        let find = || self.store.refused_events(frame);
        let mut refused = self.with_retry("finding refused events", frame.accepted(), stop, find).await?;
        refused.retain(|event| !parked.contains(&event.index));
        if refused.is_empty() {
            return Ok(());
        }
        let letters: Vec<DeadLetter> =
            refused.iter().map(|event| frame.dead_letter(event.index, &event.reason)).collect();
        let append = || self.journal.append_dead_letters(DeadLetterStream::Parked, &letters);
        self.with_retry("appending dead letters", letters.len() as u64, stop, append).await?;
        for event in &refused {
            self.report_parked(frame, event);
        }
        parked.extend(refused.iter().map(|event| event.index));
        Ok(())
    }

    fn report_parked(&self, frame: &Frame, event: &RefusedEvent) {
        let origin = &frame.origins[frame.events[event.index].origin];
        self.metrics.failed(Service::collector(self.source), Some(self.source), ErrorType::Parked, 1);
        error!(
            frame = frame.id,
            index = event.index,
            correlation_id = %origin.correlation_id,
            reason = event.reason,
            "event parked"
        );
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
