//! Bounds of the embedded journal.

use std::time::Duration;

use crate::limits;

/// The bounds of one journal file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Of all frames, acknowledged ones included.
    pub(super) frame_bytes: u64,
    /// Of acknowledged ones.
    pub(super) frame_age: Duration,
    /// Of each graveyard.
    pub(super) letter_bytes: u64,
    pub(super) letter_age: Duration,
}

impl Bounds {
    pub(super) fn new(frame_bytes: u64) -> Self {
        Self {
            frame_bytes,
            frame_age: limits::ACKNOWLEDGED_FRAME_AGE,
            letter_bytes: limits::GRAVEYARD_BYTES,
            letter_age: limits::LETTER_AGE,
        }
    }
}
