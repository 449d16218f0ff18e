//! The frame: the message of the journal, events of one source that were accepted together.

mod content;
mod erasure;
mod framer;

pub use content::{Content, FrameError};
pub(super) use content::{ERASURE_VERSION, EVENTS_VERSION};
pub use erasure::Erasure;
pub use framer::{FrameLimit, Framer, SealedFrame};
use prost::Message as _;
use weir::contract::event::v1;
use weir_event::{Event, Origin, Source, Violation};

use super::{DeadLetter, MediaType};

/// The most events in a frame.
pub const MAX_FRAME_EVENTS: usize = 512;
/// The most bytes of a frame; only an event that is larger by itself makes a larger one.
pub const MAX_FRAME_BYTES: usize = 256 * 1024;

/// Events of one source that were accepted together, as they are read back.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// Also the message id in the journal, the same in every retry: a UUID.
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

impl Frame {
    /// How many accepted events it stands for: those that it carries and their repeats.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.events.iter().map(|framed| 1 + u64::from(framed.repeats)).sum()
    }

    /// The dead letter of one of its events, for a storage that refused it for `reason`.
    ///
    /// # Panics
    /// There is no event at `index`.
    #[must_use]
    pub fn dead_letter(&self, index: usize, reason: &str) -> DeadLetter {
        let framed = &self.events[index];
        let raw = v1::Event::from(framed.event.clone()).encode_to_vec();
        DeadLetter::new(
            raw.into(),
            MediaType::Protobuf,
            vec![Violation::new("", reason)],
            Some(self.source),
            Some(framed.event.id().to_owned()),
            self.origins[framed.origin].clone(),
        )
    }

    fn restore(message: v1::Frame) -> Result<Self, FrameError> {
        let malformed = |what: &str| FrameError::Malformed(what.to_owned());
        let source =
            Source::from_number(message.source).ok_or_else(|| malformed("it has no known source"))?;
        let origins = message
            .origins
            .into_iter()
            .map(|origin| Origin::restore(origin).ok_or_else(|| malformed("an origin is malformed")))
            .collect::<Result<Vec<_>, _>>()?;
        let events = message
            .events
            .into_iter()
            .map(|framed| FramedEvent::restore(framed, origins.len()))
            .collect::<Result<Vec<_>, _>>()?;
        if message.frame_id.is_empty() || events.is_empty() {
            return Err(malformed("it has no id or no event"));
        }
        if events.iter().any(|framed| framed.event.source() != source) {
            return Err(malformed("an event is of another source"));
        }
        Ok(Self { id: message.frame_id, source, origins, events })
    }
}

impl FramedEvent {
    fn restore(message: v1::FramedEvent, origins: usize) -> Result<Self, FrameError> {
        let malformed = |what: String| FrameError::Malformed(what);
        if message.event.is_empty() {
            return Err(malformed("an entry has no event".to_owned()));
        }
        let event = v1::Event::decode(message.event).map_err(|error| malformed(error.to_string()))?;
        let event = Event::restore(event).map_err(|error| malformed(error.to_string()))?;
        let origin = message.origin as usize;
        if origin >= origins {
            return Err(malformed("an event names an origin that is not there".to_owned()));
        }
        Ok(Self { event, origin, repeats: message.repeats })
    }
}

#[cfg(test)]
mod tests;
