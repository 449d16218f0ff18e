//! Frames of newer versions: left to collectors that can read them, and shown to wait until one has.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use tracing::{debug, info, warn};
use weir_event::Service;

use super::{Verdict, Worker};

/// A rolling upgrade has a collector that can read it within this, or soon after.
const SHORTEST_PAUSE: Duration = Duration::from_secs(5);
/// How long a newer collector may have to wait for what an older one left.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// The more frames wait, the less often each is offered again: what is looked at in vain stays a small part of the
/// thousands of frames a second that a collector takes.
const OFFERS_PER_SECOND: u64 = 200;
/// How long after its pause a frame may be offered again, until it is taken for read by another collector.
const GRACE: Duration = Duration::from_secs(5);

/// What the workers of a collector know of frames that they left. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct NewerFrames {
    waiting: Arc<Mutex<Option<Waiting>>>,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    /// The newest that was met.
    version: u32,
    /// When every frame that was left is offered again, unless another collector has read it.
    until: Instant,
}

impl NewerFrames {
    /// Notes a frame that is offered again after `pause`. True for the first one in a while.
    fn left(&self, version: u32, pause: Duration, now: Instant) -> bool {
        let mut waiting = self.lock();
        let known = *waiting;
        let until = now + pause + GRACE;
        *waiting = Some(Waiting {
            version: known.map_or(version, |known| known.version.max(version)),
            until: known.map_or(until, |known| known.until.max(until)),
        });
        known.is_none()
    }

    /// Whether no frame waits for a newer collector, as far as this one knows; the error is for people.
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
        // Every change is one step, so that a panic elsewhere leaves it whole.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Worker {
    /// Leaves a frame to a collector that can read it. Told once, not once a frame.
    pub(super) fn leave(&self, version: u32, pause: Duration) -> Verdict {
        self.metrics.left(Service::collector(self.source), self.source);
        if self.newer.left(version, pause, Instant::now()) {
            warn!(version, "frames of a newer version are left to newer collectors");
        }
        Verdict::Later(pause)
    }

    /// How long a frame of a newer version is left alone, by how many wait for a verdict.
    pub(super) async fn pause_of_newer(&self) -> Duration {
        match self.journal.backlog(self.source).await {
            Ok(backlog) => pause(backlog.in_flight),
            Err(error) => {
                debug!(%error, "it can't be seen how many frames wait");
                SHORTEST_PAUSE
            }
        }
    }
}

fn pause(waiting: u64) -> Duration {
    Duration::from_secs(waiting / OFFERS_PER_SECOND).clamp(SHORTEST_PAUSE, LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_frames_are_offered_again_less_often() {
        assert_eq!(pause(1), SHORTEST_PAUSE);
        assert_eq!(pause(20_000), Duration::from_secs(100));
        assert_eq!(pause(u64::MAX), LONGEST_PAUSE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_frame_that_is_not_offered_again_was_read_by_another_collector() {
        let newer = NewerFrames::default();
        newer.check().unwrap();
        assert!(newer.left(3, SHORTEST_PAUSE, Instant::now()));
        assert!(!newer.left(2, Duration::ZERO, Instant::now()), "told again");
        tokio::time::advance(SHORTEST_PAUSE + GRACE - Duration::from_millis(1)).await;
        assert!(newer.check().unwrap_err().contains("version 3"));
        tokio::time::advance(Duration::from_millis(1)).await;
        newer.check().unwrap();
        assert!(newer.left(2, SHORTEST_PAUSE, Instant::now()), "not told again");
        assert!(newer.check().unwrap_err().contains("version 2"));
    }
}
