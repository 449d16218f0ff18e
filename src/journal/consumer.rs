//! The durable consumer of one source, and the delivery that ends in exactly one verdict.

use std::time::Duration;

use super::{Backlog, Frame, FrameError, JournalError};

/// The durable consumer of one source. Several, in one process or many, share its frames.
#[derive(Debug)]
pub struct Consumer {}

/// One offer of one frame. It ends in exactly one verdict; dropped without one, it is offered again after the
/// acknowledgement deadline.
#[derive(Debug)]
pub struct Delivery {}

impl Consumer {
    /// Up to `max_frames` frames; waits up to `wait` for the first and returns what is there then, perhaps nothing.
    ///
    /// # Errors
    /// The journal is away; the next call tries again, with the consumer re-created where it vanished.
    pub async fn next(&mut self, max_frames: usize, wait: Duration) -> Result<Vec<Delivery>, JournalError> {
        let _ = (max_frames, wait);
        unimplemented!()
    }

    /// What this source's collectors still have to do.
    ///
    /// # Errors
    /// The journal is away.
    pub async fn backlog(&self) -> Result<Backlog, JournalError> {
        unimplemented!()
    }
}

impl Delivery {
    /// The frame, or why this build can't read it.
    ///
    /// # Errors
    /// See [`FrameError`].
    pub fn frame(&self) -> Result<&Frame, &FrameError> {
        unimplemented!()
    }

    /// The raw message, for the dead letter of a frame that nobody can read.
    #[must_use]
    pub fn raw(&self) -> &[u8] {
        unimplemented!()
    }

    /// 1 at the first offer; more says that it was offered before.
    #[must_use]
    pub fn attempt(&self) -> u64 {
        unimplemented!()
    }

    /// Says that work on it goes on: the acknowledgement deadline starts anew.
    ///
    /// # Errors
    /// The journal is away: the frame may be offered again meanwhile.
    pub async fn progress(&self) -> Result<(), JournalError> {
        unimplemented!()
    }

    /// Stored: never offered again. Returns when the journal has it.
    ///
    /// # Errors
    /// The journal is away: the frame may be offered again, and the frame's id makes that harmless.
    pub async fn ack(self) -> Result<(), JournalError> {
        unimplemented!()
    }

    /// Not now: offered again, to any collector, after `delay`.
    ///
    /// # Errors
    /// The journal is away: it is offered again after the acknowledgement deadline.
    pub async fn retry_in(self, delay: Duration) -> Result<(), JournalError> {
        let _ = delay;
        unimplemented!()
    }
}
