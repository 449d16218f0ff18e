//! From deliveries to verdicts: store what can be stored, and split what is refused until one frame is left.

use std::time::{Duration, Instant};

use weir::{
    event::Service,
    journal::{Content, Delivery, Erasure, Frame},
    process::Stop,
};

use super::{Verdict, Worker, patience::Halt, unreadable::Unreadable};
use crate::store::{FrameOutcome, Submission};

/// Events in one transaction: rows per second are flat from a thousand up, and a shorter transaction is a shorter
/// wait for everybody else.
const MAX_EVENTS: usize = 8_192;

/// A readable delivery: its place among the deliveries, and its frame.
type Held<'a> = (usize, &'a Frame);

impl Worker {
    /// One verdict a delivery. What is not done when `stop` ends a wait is offered again at once.
    pub(super) async fn see_to(&self, deliveries: &[Delivery], stop: &Stop) -> Vec<Verdict> {
        let mut verdicts = vec![Verdict::Later(Duration::ZERO); deliveries.len()];
        let mut readable: Vec<Held<'_>> = Vec::new();
        let mut erasures: Vec<(usize, &Erasure)> = Vec::new();
        let mut unreadable: Vec<Unreadable<'_>> = Vec::new();
        for (index, delivery) in deliveries.iter().enumerate() {
            match delivery.content() {
                Ok(Content::Events(frame)) => readable.push((index, frame)),
                Ok(Content::Erasure(erasure)) => erasures.push((index, erasure)),
                Err(error) => unreadable.push((index, delivery, error)),
            }
        }
        self.see_to_unreadable(unreadable, &mut verdicts, stop).await;
        let mut batches = batches(readable);
        while let Some(mut batch) = batches.pop() {
            let settled = match self.store(&batch, stop).await {
                Err(Halt::Refused(_)) if batch.len() > 1 => {
                    let rest = batch.split_off(batch.len() / 2);
                    batches.extend([rest, batch]);
                    continue;
                }
                Err(Halt::Refused(_)) => self.store_without_refused(batch[0].1, stop).await,
                settled => settled,
            };
            if settled.is_err() {
                return verdicts;
            }
            batch.iter().for_each(|(index, _)| verdicts[*index] = Verdict::Done);
        }
        // Behind the frames, so that what came with it is among the rows that it finds.
        for (index, erasure) in erasures {
            if !stop.is_cancelled() {
                verdicts[index] = self.see_to_erasure(erasure).await;
            }
        }
        verdicts
    }

    /// Stores frames in one transaction.
    async fn store(&self, batch: &[Held<'_>], stop: &Stop) -> Result<(), Halt> {
        let submissions: Vec<Submission<'_>> =
            batch.iter().map(|(_, frame)| Submission::whole(frame)).collect();
        let events = batch.iter().map(|(_, frame)| frame.accepted()).sum();
        let store = async || {
            let begun = Instant::now();
            let stored = self.store.store(&submissions).await;
            self.storing.observe(self.source, batch.len(), events, begun.elapsed(), stored.is_ok());
            stored
        };
        let outcomes = self.patiently("storing", events, stop, store).await?;
        outcomes.iter().for_each(|outcome| self.count(outcome));
        Ok(())
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
fn batches(held: Vec<Held<'_>>) -> Vec<Vec<Held<'_>>> {
    let mut batches: Vec<Vec<Held<'_>>> = Vec::new();
    let mut room = 0;
    for (index, frame) in held {
        match batches.last_mut() {
            Some(batch) if frame.events.len() <= room => batch.push((index, frame)),
            _ => {
                batches.push(vec![(index, frame)]);
                room = MAX_EVENTS.max(frame.events.len());
            }
        }
        room -= frame.events.len();
    }
    batches.reverse();
    batches
}
