//! Frames: the messages of the journal. A frame carries events of one source that were accepted together, or one erasure.

mod content;
mod erasure;
mod framer;
mod version;

pub use content::{Content, Frame, FramedEvent};
pub use erasure::Erasure;
pub use framer::{FrameLimit, Framer, MAX_FRAME_BYTES, MAX_FRAME_EVENTS, SealedFrame};
pub use version::FrameError;
pub(crate) use version::has_version;

#[cfg(test)]
mod tests;
