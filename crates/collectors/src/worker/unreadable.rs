//! Messages that are no frame for this build.

use bytes::Bytes;
use chrono::Utc;
use tracing::error;
use weir::{
    event::{ErrorType, Origin, Service, Violation},
    journal::{DeadLetter, Delivery, FrameError, Graveyard, MediaType},
    process::{CorrelationId, Stop},
};

use super::{Verdict, Worker, patience::Halt};

/// A delivery that is no frame for this build, its place among the deliveries, and why.
pub(super) type Unreadable<'a> = (usize, &'a Delivery, &'a FrameError);

impl Worker {
    /// What is newer is left, what nobody can read is buried. What is not done when `stop` comes stays without a
    /// verdict of its own.
    pub(super) async fn see_to_unreadable(
        &self,
        unreadable: Vec<Unreadable<'_>>,
        verdicts: &mut [Verdict],
        stop: &Stop,
    ) {
        let mut pause = None;
        for (index, delivery, error) in unreadable {
            verdicts[index] = match (error, pause) {
                (FrameError::Newer(version), Some(pause)) => self.leave(*version, pause),
                (FrameError::Newer(version), None) => {
                    self.leave(*version, *pause.insert(self.pause_of_newer().await))
                }
                (FrameError::Malformed(_), _) => match self.bury(delivery, error, stop).await {
                    Ok(()) => Verdict::Done,
                    Err(_) => return,
                },
            };
        }
    }

    async fn bury(&self, delivery: &Delivery, error: &FrameError, stop: &Stop) -> Result<(), Halt> {
        let reason = error.to_string();
        let letters = [self.letter_of_unreadable(delivery.raw(), &reason)];
        let bury = || self.journal.bury(Graveyard::Parked, &letters);
        self.patiently("burying what can't be read", 0, stop, bury).await?;
        // Nobody knows how many events it stands for: it counts as the one dead letter that it is.
        self.metrics.failed(Service::collector(self.source), Some(self.source), ErrorType::Parked, 1);
        let correlation_id = &letters[0].origin.correlation_id;
        error!(%correlation_id, reason, bytes = delivery.raw().len(), "buried a frame that nobody can read");
        Ok(())
    }

    /// Its origins can't be read either, so it gets one of its own.
    fn letter_of_unreadable(&self, raw: &[u8], reason: &str) -> DeadLetter {
        let origin = Origin {
            correlation_id: CorrelationId::generate(),
            traceparent: String::new(),
            tracestate: String::new(),
            arrived_at: Utc::now(),
        };
        let violations = vec![Violation::new("", reason)];
        let raw = Bytes::copy_from_slice(raw);
        DeadLetter::new(raw, MediaType::Protobuf, violations, Some(self.source), None, origin)
    }
}
