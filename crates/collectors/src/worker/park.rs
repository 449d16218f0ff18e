//! Parking: moves the events that the store refuses for good to the dead letters, and stores the rest of their frame.

use std::collections::BTreeSet;

use tracing::error;
use weir_event::{ErrorType, Service};
use weir_journal::{DeadLetter, DeadLetterStream, Frame};
use weir_process::Stop;

use super::{Worker, process::PendingFrame, retry::Interrupted, spans::BatchSpans};
use crate::{
    outage,
    store::{RefusedEvent, Submission},
};

impl Worker {
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
