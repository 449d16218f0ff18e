//! Messages that are no frame for this build.

use std::time::Duration;

use bytes::Bytes;
use chrono::Utc;
use tracing::{error, warn};
use weir::{
    event::{Origin, Violation},
    journal::{DeadLetter, Delivery, FrameError, Graveyard, MediaType},
    process::{CorrelationId, Stop},
};

use super::{Verdict, Worker};

/// How long a frame of a newer version is left to collectors that can read it.
const NEWER_PAUSE: Duration = Duration::from_secs(5);

impl Worker {
    pub(super) async fn see_to_unreadable(
        &self,
        delivery: &Delivery,
        error: &FrameError,
        stop: &Stop,
    ) -> Verdict {
        let reason = error.to_string();
        if let FrameError::Newer(version) = error {
            warn!(version, attempt = delivery.attempt(), "left a frame to a newer collector");
            return Verdict::Later(NEWER_PAUSE);
        }
        let letters = [self.letter_of_unreadable(delivery.raw(), &reason)];
        let bury = || self.journal.bury(Graveyard::Parked, &letters);
        if self.patiently("burying what can't be read", 0, stop, bury).await.is_err() {
            return Verdict::Later(Duration::ZERO);
        }
        error!(reason, bytes = delivery.raw().len(), "buried a frame that nobody can read");
        Verdict::Done
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
