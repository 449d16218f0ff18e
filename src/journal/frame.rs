//! The frame: the message of the journal, events of one source that were accepted together.

use super::DeadLetter;
use crate::event::{Event, Origin, Source};

/// The most events in a frame (design.md decision 3).
pub const MAX_FRAME_EVENTS: usize = 512;
/// The most bytes that the events of a frame are aimed at; one event is far smaller.
pub const MAX_FRAME_BYTES: usize = 256 * 1024;
/// What this build writes, and the newest that it reads.
pub(super) const VERSION: u32 = 1;

/// Events of one source that were accepted together.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// Also the message id in the journal, the same in every retry: a UUIDv7.
    pub id: String,
    pub source: Source,
    /// At least one.
    pub origins: Vec<Origin>,
    /// In the order in which they were sent.
    pub events: Vec<FramedEvent>,
}

/// An event in a frame.
#[derive(Clone, Debug, PartialEq)]
pub struct FramedEvent {
    pub event: Event,
    /// Index into the frame's origins.
    pub origin: usize,
    /// How many later items of the same array carried the same identity: duplicates, counted and not carried.
    pub repeats: u32,
}

/// Why a message of the journal is no frame for this build.
#[derive(Clone, Debug, thiserror::Error)]
pub enum FrameError {
    /// Another collector, of a newer build, can read it.
    #[error("the frame has version {0}, this build reads up to {VERSION}")]
    Newer(u32),
    /// Nobody can read it.
    #[error("the frame can't be read: {0}")]
    Malformed(String),
}

/// Fills frames, source by source, in the order of the pushes.
#[derive(Debug, Default)]
pub struct Framer {}

impl Framer {
    /// Adds an admitted event.
    pub fn push(&mut self, event: Event, origin: &Origin, repeats: u32) {
        let _ = (event, origin, repeats);
        unimplemented!()
    }

    /// The frames, each within its bounds.
    #[must_use]
    pub fn finish(self) -> Vec<Frame> {
        unimplemented!()
    }
}

impl Frame {
    /// How many accepted events it stands for: those that it carries and their repeats.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.events.iter().map(|framed| 1 + u64::from(framed.repeats)).sum()
    }

    /// The dead letter of one of its events, for a storage that refused it for `reason`.
    #[must_use]
    pub fn dead_letter(&self, index: usize, reason: &str) -> DeadLetter {
        let _ = (index, reason);
        unimplemented!()
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        unimplemented!()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, FrameError> {
        let _ = bytes;
        unimplemented!()
    }
}
