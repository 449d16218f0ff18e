//! The durable consumer of one source, and the delivery that ends in exactly one verdict.

use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};

use super::{
    Backlog, Content, FrameError, JournalError,
    embedded::{Lease, Offers},
    jetstream::{Pull, PullVerdict},
};

/// The durable consumer of one source. Several, in one process or many, share its frames.
#[derive(Debug)]
pub enum Consumer {
    JetStream(Box<Pull>),
    Embedded(Offers),
}

/// One offer of one frame. It ends in exactly one verdict; dropped without one, it is offered again after the
/// acknowledgement deadline.
#[derive(Debug)]
pub struct Delivery {
    content: Result<Content, FrameError>,
    raw: Bytes,
    sequence: u64,
    attempt: u64,
    stored_at: DateTime<Utc>,
    verdict: Verdict,
}

/// Where a delivery's verdict goes.
#[derive(Debug)]
pub(super) enum Verdict {
    JetStream(PullVerdict),
    Embedded(Lease),
}

impl Consumer {
    /// Up to `max_frames` frames; waits up to `wait` for the first and returns what is there then, perhaps nothing.
    /// A call that is cancelled loses nothing: the next one goes on with what it had.
    ///
    /// # Errors
    /// The journal is away; the next call tries again, with the consumer re-created where it vanished.
    pub async fn next(&mut self, max_frames: usize, wait: Duration) -> Result<Vec<Delivery>, JournalError> {
        match self {
            Self::JetStream(pull) => pull.next(max_frames, wait).await,
            Self::Embedded(offers) => offers.next(max_frames, wait).await,
        }
    }

    /// What this source's collectors still have to do.
    ///
    /// # Errors
    /// The journal is away.
    pub async fn backlog(&self) -> Result<Backlog, JournalError> {
        match self {
            Self::JetStream(pull) => pull.backlog().await,
            Self::Embedded(offers) => offers.backlog().await,
        }
    }
}

impl Delivery {
    pub(super) fn new(
        raw: Bytes,
        sequence: u64,
        attempt: u64,
        stored_at: DateTime<Utc>,
        verdict: Verdict,
    ) -> Self {
        Self { content: Content::decode(&raw), raw, sequence, attempt, stored_at, verdict }
    }

    /// What the frame carries, or why this build can't read it.
    ///
    /// # Errors
    /// See [`FrameError`].
    pub fn content(&self) -> Result<&Content, &FrameError> {
        self.content.as_ref()
    }

    /// The raw message, for the dead letter of a frame that nobody can read.
    #[must_use]
    pub fn raw(&self) -> &Bytes {
        &self.raw
    }

    /// When the journal took it, by the journal's clock.
    #[must_use]
    pub fn stored_at(&self) -> DateTime<Utc> {
        self.stored_at
    }

    /// The frame's sequence in its journal, the same in every offer.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// 1 at the first offer; more says that it was offered before. A journal that was killed may have forgotten
    /// its last offers.
    #[must_use]
    pub fn attempt(&self) -> u64 {
        self.attempt
    }

    /// Says that work on it goes on: the acknowledgement deadline starts anew.
    ///
    /// # Errors
    /// The journal is away: the frame may be offered again meanwhile.
    pub async fn progress(&self) -> Result<(), JournalError> {
        match &self.verdict {
            Verdict::JetStream(verdict) => verdict.progress().await,
            Verdict::Embedded(lease) => {
                lease.progress();
                Ok(())
            }
        }
    }

    /// Stored: never offered again. Returns when the journal has it.
    ///
    /// # Errors
    /// The journal is away: the frame may be offered again, and the frame's id makes that harmless.
    pub async fn ack(self) -> Result<(), JournalError> {
        match self.verdict {
            Verdict::JetStream(verdict) => verdict.ack().await,
            Verdict::Embedded(lease) => lease.ack().await,
        }
    }

    /// Not now: offered again, to any collector, after `delay`.
    ///
    /// # Errors
    /// The journal is away: it is offered again after the acknowledgement deadline.
    pub async fn retry_in(self, delay: Duration) -> Result<(), JournalError> {
        match self.verdict {
            Verdict::JetStream(verdict) => verdict.retry_in(delay).await,
            Verdict::Embedded(lease) => {
                lease.retry_in(delay);
                Ok(())
            }
        }
    }
}
