//! Parking: the events that the store will never take go to the dead letters, the rest of their frame is stored.

use std::collections::BTreeSet;

use tracing::error;
use weir_event::{ErrorType, Service};
use weir_journal::{DeadLetter, DeadLetterStream, Frame};
use weir_process::Stop;

use super::{Worker, process::Held, retry::Halt, spans::BatchSpans};
use crate::{
    backoff::Backoff,
    store::{RefusedEvent, Submission},
};

impl Worker {
    /// Stores a frame that the store refused as a whole. Refused events are durable as dead letters before the
    /// frame's accounts name them parked.
    pub(super) async fn store_without_refused(
        &self,
        held: Held<'_>,
        spans: &BatchSpans,
        stop: &Stop,
    ) -> Result<(), Halt> {
        let frame = held.frame;
        let mut parked = BTreeSet::new();
        let mut backoff = Backoff::default();
        loop {
            self.park(frame, &mut parked, stop).await?;
            let rest = [Submission::without(frame, &parked).at(held.position)];
            let reason = match self.store_patiently(&[held], &rest, spans, stop).await {
                Ok(outcomes) => {
                    outcomes.iter().for_each(|outcome| self.count(outcome));
                    return Ok(());
                }
                Err(Halt::Refused(reason)) => reason,
                Err(Halt::Stopped) => return Err(Halt::Stopped),
            };
            // Refused at once and taken one by one: nobody knows what to park, so nothing is lost by waiting.
            error!(frame = frame.id, reason, "the store refuses a frame for none of its events");
            backoff.pause(stop).await;
            if stop.is_cancelled() {
                return Err(Halt::Stopped);
            }
        }
    }

    /// Buries the events of a frame that the store refuses and that are not `parked` yet.
    async fn park(&self, frame: &Frame, parked: &mut BTreeSet<usize>, stop: &Stop) -> Result<(), Halt> {
        let find = || self.store.refused_events(frame);
        let mut refused = self.patiently("finding what is refused", frame.accepted(), stop, find).await?;
        refused.retain(|event| !parked.contains(&event.index));
        if refused.is_empty() {
            return Ok(());
        }
        let letters: Vec<DeadLetter> =
            refused.iter().map(|event| frame.dead_letter(event.index, &event.reason)).collect();
        let bury = || self.journal.append_dead_letters(DeadLetterStream::Parked, &letters);
        self.patiently("burying what is refused", letters.len() as u64, stop, bury).await?;
        for event in &refused {
            self.tell_parked(frame, event);
        }
        parked.extend(refused.iter().map(|event| event.index));
        Ok(())
    }

    fn tell_parked(&self, frame: &Frame, event: &RefusedEvent) {
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
