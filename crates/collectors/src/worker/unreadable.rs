//! Deliveries that this build can't read. A frame of the next version is deferred until a newer collector reads it; any
//! other one becomes a dead letter.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::Instant;
use tracing::{debug, error, info, warn};
use weir_event::{ErrorType, Origin, Service, Violation};
use weir_journal::{Clock, DeadLetter, DeadLetterStream, Delivery, FrameError};
use weir_process::{CorrelationId, Stop, clock};

use super::{Worker, delivery::DeliveryVerdict, retry::Interrupted};

/// How long frames of the next version are deferred: an upgrade takes hours. A deferred frame also keeps the
/// acknowledged frames behind it from being purged.
const DEFERRED_FOR: TimeDelta = TimeDelta::days(7);

/// The shortest pause before a deferred frame is redelivered. A rolling upgrade starts a newer collector within this
/// time, or soon after.
const SHORTEST_PAUSE: Duration = Duration::from_secs(5);
/// The longest pause: a newer collector may have to wait this long for a frame that an older one deferred.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// Redeliveries of deferred frames per second. Pauses grow with the number of waiting frames, so that redeliveries in
/// vain stay a small part of the thousands of frames a second that a collector takes.
const REDELIVERIES_PER_SECOND: u64 = 200;
/// How long after its pause a frame may be redelivered. After that, another collector has read it.
const GRACE: Duration = Duration::from_secs(5);

/// A delivery that this build can't read.
#[derive(Clone, Copy, Debug)]
pub(super) struct UnreadableDelivery<'a> {
    /// Its index in the batch.
    pub(super) index: usize,
    pub(super) delivery: &'a Delivery,
    pub(super) error: &'a FrameError,
}

/// The deferred frames that the workers of one collector know of. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct DeferredFrames {
    waiting: Arc<Mutex<Option<Waiting>>>,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    /// The newest version among them.
    version: u32,
    /// By this moment the journal redelivers every deferred frame, unless another collector has read it.
    until: Instant,
}

/// How a batch defers its frames; worked out once for a batch.
#[derive(Clone, Copy, Debug)]
struct Deferral {
    pause: Duration,
    /// Frames from before this moment are not deferred any longer. `None` where no clock can be trusted.
    since: Option<DateTime<Utc>>,
}

impl DeferredFrames {
    /// Notes a frame that the journal redelivers after `pause`. Returns true where no frame was known to wait.
    fn note(&self, version: u32, pause: Duration, now: Instant) -> bool {
        let mut waiting = self.lock();
        let known = *waiting;
        let until = now + pause + GRACE;
        *waiting = Some(Waiting {
            version: known.map_or(version, |known| known.version.max(version)),
            until: known.map_or(until, |known| known.until.max(until)),
        });
        known.is_none()
    }

    /// Whether no frame waits for a newer collector, as far as this one knows.
    ///
    /// # Errors
    /// Frames wait. The text names their version, for the ready probe.
    pub(crate) fn check(&self) -> Result<(), String> {
        let mut waiting = self.lock();
        match *waiting {
            Some(known) if Instant::now() < known.until => {
                Err(format!("frames of version {} wait for a newer collector", known.version))
            }
            Some(_) => {
                info!("frames of a newer version wait no longer");
                *waiting = None;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Waiting>> {
        // Each change is one assignment, so that a panic of another thread leaves the value whole.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Worker {
    /// Defers frames of the next version. Dead-letters frames that waited too long for a newer collector, frames of
    /// later versions, and bytes that are no frame. After `stop`, the remaining deliveries keep the verdict that they
    /// have.
    pub(super) async fn process_unreadable(
        &self,
        unreadable: Vec<UnreadableDelivery<'_>>,
        verdicts: &mut [DeliveryVerdict],
        stop: &Stop,
    ) {
        let mut of_batch: Option<Deferral> = None;
        for UnreadableDelivery { index, delivery, error } in unreadable {
            if let FrameError::Newer(version) = error {
                let deferral = match of_batch {
                    Some(deferral) => deferral,
                    None => *of_batch.insert(self.deferral().await),
                };
                if deferral.since.is_none_or(|since| delivery.stored_at() >= since) {
                    verdicts[index] = self.defer(*version, deferral.pause);
                    continue;
                }
            }
            match self.park_frame(delivery, error, stop).await {
                Ok(()) => verdicts[index] = DeliveryVerdict::Acknowledge,
                Err(_) => return,
            }
        }
    }

    /// Defers one frame. The first of a series is logged.
    fn defer(&self, version: u32, pause: Duration) -> DeliveryVerdict {
        self.metrics.deferred(Service::collector(self.source), self.source);
        if self.deferred.note(version, pause, Instant::now()) {
            warn!(version, "frames of a newer version are left to newer collectors");
        }
        DeliveryVerdict::RetryIn(pause)
    }

    /// Age is measured by the journal's clock, because that clock stamped the frames.
    async fn deferral(&self) -> Deferral {
        let now = match self.journal.clock().await {
            Ok(Clock::Server { now, ahead }) if !clock::is_far(ahead) => Some(now),
            Ok(Clock::Local { held: None }) => Some(Utc::now()),
            Ok(Clock::Server { .. } | Clock::Local { held: Some(_) } | Clock::Unknown) => None,
            Err(error) => {
                debug!(%error, "the age of deferred frames is unknown");
                None
            }
        };
        Deferral { pause: self.pause_of_deferred().await, since: now.map(|now| now - DEFERRED_FOR) }
    }

    /// The pause of a deferred frame, by the number of frames in flight.
    async fn pause_of_deferred(&self) -> Duration {
        match self.journal.backlog(self.source).await {
            Ok(backlog) => pause(backlog.in_flight),
            Err(error) => {
                debug!(%error, "the number of frames in flight is unknown");
                SHORTEST_PAUSE
            }
        }
    }

    /// Dead-letters the bytes of a frame whole, so that a build that can read them redrives them (`weir dead-letters
    /// redrive`).
    async fn park_frame(
        &self,
        delivery: &Delivery,
        error: &FrameError,
        stop: &Stop,
    ) -> Result<(), Interrupted> {
        let reason = match error {
            FrameError::Newer(_) => format!("{error}; it waited for a newer collector for 7 days"),
            FrameError::TooNew(_) | FrameError::Malformed(_) => error.to_string(),
        };
        let letters = [self.letter_of_frame(delivery, &reason)];
        let append = || self.journal.append_dead_letters(DeadLetterStream::Parked, &letters);
        self.with_retry("parking an unreadable frame", 0, stop, append).await?;
        let positions = [self.position(delivery)];
        let record = || self.store.record_settled(&positions);
        self.with_retry("recording an unreadable frame", 0, stop, record).await?;
        // The number of its events is unknown, so that it counts as one: the dead letter.
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

    /// The letter gets an origin of its own, because those of the frame can't be read either.
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

fn pause(waiting: u64) -> Duration {
    Duration::from_secs(waiting / REDELIVERIES_PER_SECOND).clamp(SHORTEST_PAUSE, LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_deferred_frames_are_redelivered_less_often() {
        assert_eq!(pause(1), SHORTEST_PAUSE);
        assert_eq!(pause(20_000), Duration::from_secs(100));
        assert_eq!(pause(u64::MAX), LONGEST_PAUSE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_frame_that_is_not_redelivered_was_read_by_another_collector() {
        let deferred = DeferredFrames::default();
        deferred.check().unwrap();
        assert!(deferred.note(3, SHORTEST_PAUSE, Instant::now()));
        assert!(!deferred.note(2, Duration::ZERO, Instant::now()), "it is logged again");
        tokio::time::advance(SHORTEST_PAUSE + GRACE - Duration::from_millis(1)).await;
        assert!(deferred.check().unwrap_err().contains("version 3"));
        tokio::time::advance(Duration::from_millis(1)).await;
        deferred.check().unwrap();
        assert!(deferred.note(2, SHORTEST_PAUSE, Instant::now()), "it is not logged again");
        assert!(deferred.check().unwrap_err().contains("version 2"));
    }
}
