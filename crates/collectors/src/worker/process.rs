//! From deliveries to verdicts: store what can be stored, and split what is refused until one frame is left.

use std::time::{Duration, Instant};

use tracing::Instrument as _;
use weir_event::Service;
use weir_journal::{Content, Delivery, Erasure, Frame, Position};
use weir_process::{Stop, trace};

use super::{Verdict, Worker, log_context, retry::Halt, spans::BatchSpans, unreadable::Unreadable};
use crate::store::{FrameOutcome, StoreError, Submission};

/// Events in one transaction: rows per second are flat from a thousand up, and a shorter transaction is a shorter
/// wait for everybody else.
const MAX_EVENTS: usize = 8_192;

/// A readable delivery.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held<'a> {
    /// Among the deliveries.
    pub(super) place: usize,
    /// In the journal.
    pub(super) position: Position,
    pub(super) frame: &'a Frame,
}

impl Worker {
    /// One verdict a delivery. What is not done when `stop` ends a wait is offered again at once.
    pub(super) async fn see_to(
        &self,
        deliveries: &[Delivery],
        spans: &BatchSpans,
        stop: &Stop,
    ) -> Vec<Verdict> {
        let mut verdicts = vec![Verdict::Later(Duration::ZERO); deliveries.len()];
        let mut readable: Vec<Held<'_>> = Vec::new();
        let mut erasures: Vec<(usize, Position, &Erasure)> = Vec::new();
        let mut unreadable: Vec<Unreadable<'_>> = Vec::new();
        for (place, delivery) in deliveries.iter().enumerate() {
            let position = self.position(delivery);
            match delivery.content() {
                Ok(Content::Events(frame)) => readable.push(Held { place, position, frame }),
                Ok(Content::Erasure(erasure)) => erasures.push((place, position, erasure)),
                Err(error) => unreadable.push((place, delivery, error)),
            }
        }
        self.see_to_unreadable(unreadable, &mut verdicts, stop).await;
        let mut batches = batches(readable);
        while let Some(mut batch) = batches.pop() {
            let settled = match self.store(&batch, spans, stop).await {
                Err(Halt::Refused(_)) if batch.len() > 1 => {
                    let rest = batch.split_off(batch.len() / 2);
                    batches.extend([rest, batch]);
                    continue;
                }
                Err(Halt::Refused(_)) => self.store_without_refused(batch[0], spans, stop).await,
                settled => settled,
            };
            if settled.is_err() {
                return verdicts;
            }
            batch.iter().for_each(|held| verdicts[held.place] = Verdict::Done);
        }
        // Behind the frames, so that what came with it is among the rows that it finds.
        for (place, position, erasure) in erasures {
            if !stop.is_cancelled() {
                verdicts[place] = self.see_to_erasure(erasure, position).await;
            }
        }
        verdicts
    }

    pub(super) fn position(&self, delivery: &Delivery) -> Position {
        Position { journal: self.journal.identity(), sequence: delivery.sequence() }
    }

    /// Stores frames in one transaction.
    async fn store(&self, batch: &[Held<'_>], spans: &BatchSpans, stop: &Stop) -> Result<(), Halt> {
        let submissions: Vec<Submission<'_>> =
            batch.iter().map(|held| Submission::whole(held.frame).at(held.position)).collect();
        let outcomes = self.store_patiently(batch, &submissions, spans, stop).await?;
        outcomes.iter().for_each(|outcome| self.count(outcome));
        Ok(())
    }

    /// Repeats one transaction until its outcome is known.
    pub(super) async fn store_patiently(
        &self,
        batch: &[Held<'_>],
        submissions: &[Submission<'_>],
        spans: &BatchSpans,
        stop: &Stop,
    ) -> Result<Vec<FrameOutcome>, Halt> {
        let events = batch.iter().map(|held| held.frame.accepted()).sum();
        let attempt = || self.attempt_to_store(batch, submissions, events, spans);
        self.patiently("storing", events, stop, attempt).await
    }

    /// One transaction, traced and measured.
    async fn attempt_to_store(
        &self,
        batch: &[Held<'_>],
        submissions: &[Submission<'_>],
        events: u64,
        spans: &BatchSpans,
    ) -> Result<Vec<FrameOutcome>, StoreError> {
        let places: Vec<usize> = batch.iter().map(|held| held.place).collect();
        let span = spans.transaction(&self.store, events, &places);
        let begun = Instant::now();
        let stored = self.store.store(submissions).instrument(span.clone()).await;
        let took = begun.elapsed();
        if let Err(error) = &stored {
            BatchSpans::fail(&span, error);
        }
        // Elsewhere the call's other spans may be exported.
        let trace = trace::context_of(&span)
            .unwrap_or_else(|| log_context::recorded(batch.iter().map(|held| held.frame)));
        self.storing.observe(self.source, batch.len(), events, took, stored.is_ok(), &trace);
        stored
    }

    /// A frame that was recorded before was counted by whoever recorded it.
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

/// Frames in their order, in transactions of at most [`MAX_EVENTS`]; the first is the last, to be popped.
fn batches(readable: Vec<Held<'_>>) -> Vec<Vec<Held<'_>>> {
    let mut batches: Vec<Vec<Held<'_>>> = Vec::new();
    let mut room = 0;
    for held in readable {
        let events = held.frame.events.len();
        match batches.last_mut() {
            Some(batch) if events <= room => batch.push(held),
            _ => {
                batches.push(vec![held]);
                room = MAX_EVENTS.max(events);
            }
        }
        room -= events;
    }
    batches.reverse();
    batches
}
