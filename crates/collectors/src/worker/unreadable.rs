//! Messages that are no frame for this build.

use chrono::{DateTime, TimeDelta, Utc};
use tracing::{debug, error};
use weir_event::{ErrorType, Origin, Service, Violation};
use weir_journal::{Clock, DeadLetter, DeadLetterStream, Delivery, FrameError};
use weir_process::{CorrelationId, Stop, clock};

use super::{Verdict, Worker, patience::Halt};

/// How long a frame of the next version is left to newer collectors: an upgrade takes hours. Until then it keeps
/// acknowledged frames behind it from being purged.
const LEFT_FOR: TimeDelta = TimeDelta::days(7);

/// A delivery that is no frame for this build, its place among the deliveries, and why.
pub(super) type Unreadable<'a> = (usize, &'a Delivery, &'a FrameError);

/// What leaving frames of a batch needs, asked once.
#[derive(Clone, Copy, Debug)]
struct Leaving {
    pause: std::time::Duration,
    /// Frames from before are not left any longer; `None` where it can't be told which those are.
    left_since: Option<DateTime<Utc>>,
}

impl Worker {
    /// Leaves frames of the next version to newer collectors; dead-letters those that waited for one for too long, those of
    /// versions beyond, and those that can't be parsed. What is not done when `stop` comes stays without a verdict of its
    /// own.
    pub(super) async fn see_to_unreadable(
        &self,
        unreadable: Vec<Unreadable<'_>>,
        verdicts: &mut [Verdict],
        stop: &Stop,
    ) {
        let mut asked: Option<Leaving> = None;
        for (index, delivery, error) in unreadable {
            if let FrameError::Newer(version) = error {
                let leaving = match asked {
                    Some(leaving) => leaving,
                    None => *asked.insert(self.leaving().await),
                };
                if leaving.left_since.is_none_or(|since| delivery.stored_at() >= since) {
                    verdicts[index] = self.leave(*version, leaving.pause);
                    continue;
                }
            }
            match self.park_frame(delivery, error, stop).await {
                Ok(()) => verdicts[index] = Verdict::Done,
                Err(_) => return,
            }
        }
    }

    /// By the journal's clock, which wrote down when its frames came in.
    async fn leaving(&self) -> Leaving {
        let now = match self.journal.clock().await {
            Ok(Clock::Server { now, ahead }) if !clock::is_far(ahead) => Some(now),
            Ok(Clock::Local { held: None }) => Some(Utc::now()),
            Ok(Clock::Server { .. } | Clock::Local { held: Some(_) } | Clock::Unknown) => None,
            Err(error) => {
                debug!(%error, "it can't be told how long frames have waited");
                None
            }
        };
        Leaving { pause: self.pause_of_newer().await, left_since: now.map(|now| now - LEFT_FOR) }
    }

    /// Whole, so that a build that can read it puts it back (`weir dead-letters redrive`).
    async fn park_frame(&self, delivery: &Delivery, error: &FrameError, stop: &Stop) -> Result<(), Halt> {
        let reason = match error {
            FrameError::Newer(_) => format!("{error}; it waited for a newer collector for 7 days"),
            FrameError::TooNew(_) | FrameError::Malformed(_) => error.to_string(),
        };
        let letters = [self.letter_of_frame(delivery, &reason)];
        let bury = || self.journal.append_dead_letters(DeadLetterStream::Parked, &letters);
        self.patiently("parking a frame that can't be read", 0, stop, bury).await?;
        let positions = [self.position(delivery)];
        let settle = || self.store.settle(&positions);
        self.patiently("recording a frame that can't be read", 0, stop, settle).await?;
        // It can't be told how many events it stands for: it counts as the one dead letter that it is.
        self.metrics.failed(Service::collector(self.source), Some(self.source), ErrorType::Parked, 1);
        let correlation_id = &letters[0].origin.correlation_id;
        error!(
            %correlation_id,
            reason,
            bytes = delivery.raw().len(),
            "a whole frame is parked among the dead letters; a build that reads it puts it back: weir dead-letters redrive"
        );
        Ok(())
    }

    /// Its origins can't be read either, so it gets one of its own.
    fn letter_of_frame(&self, delivery: &Delivery, reason: &str) -> DeadLetter {
        let origin = Origin {
            correlation_id: CorrelationId::generate(),
            traceparent: String::new(),
            tracestate: String::new(),
            arrived_at: delivery.stored_at(),
        };
        let violations = vec![Violation::new("", reason)];
        DeadLetter::from_frame(delivery.raw().clone(), violations, self.source, origin)
    }
}
