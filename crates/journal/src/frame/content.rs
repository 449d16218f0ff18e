//! The contents of a message of the journal: a frame of events, or an erasure. The message's version says which.

use bytes::Bytes;
use prost::Message as _;
use weir::contract::event::v1;
use weir_event::{Event, Origin, Source};

use super::{
    erasure::Erasure,
    framer::SealedFrame,
    version::{ERASURE_VERSION, EVENTS_VERSION, FrameError, NEWEST_VERSION, read_version},
};

/// The contents of a message of the journal.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// A frame of events.
    Events(Frame),
    /// A request to remove a person.
    Erasure(Erasure),
}

/// Events of one source that were accepted together, as a collector reads them back.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// A UUID; also the message id in the journal, the same in every retry.
    pub id: String,
    /// The source of every event in the frame.
    pub source: Source,
    /// The calls that brought the events; at least one.
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
    /// The number of later items of the same array with the same identity. The frame counts these duplicates and does not
    /// carry them.
    pub repeats: u32,
}

impl Content {
    pub(crate) fn decode(bytes: &Bytes) -> Result<Self, FrameError> {
        let message =
            || v1::Frame::decode(bytes.clone()).map_err(|error| FrameError::Malformed(error.to_string()));
        match read_version(bytes)? {
            EVENTS_VERSION => Frame::restore(message()?).map(Self::Events),
            ERASURE_VERSION => Erasure::restore(message()?).map(Self::Erasure),
            0 => Err(FrameError::Malformed("it has no version".to_owned())),
            newer if newer == NEWEST_VERSION + 1 => Err(FrameError::Newer(newer)),
            newer => Err(FrameError::TooNew(newer)),
        }
    }
}

impl SealedFrame {
    /// Reads a frame that came out of a journal, to append it again under its own id.
    ///
    /// # Errors
    /// This build can't read the frame.
    pub fn restore(payload: Bytes) -> Result<Self, FrameError> {
        Ok(match Content::decode(&payload)? {
            Content::Events(frame) => Self {
                version: EVENTS_VERSION,
                accepted: frame.accepted(),
                id: frame.id,
                source: frame.source,
                origins: frame.origins,
                payload,
            },
            Content::Erasure(erasure) => Self {
                version: ERASURE_VERSION,
                accepted: 0,
                id: erasure.id,
                source: erasure.source,
                origins: vec![erasure.origin],
                payload,
            },
        })
    }
}

impl Frame {
    /// The number of accepted events that the frame stands for: its events and their repeats.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.events.iter().map(|framed| 1 + u64::from(framed.repeats)).sum()
    }

    fn restore(message: v1::Frame) -> Result<Self, FrameError> {
        let malformed = |reason: &str| FrameError::Malformed(reason.to_owned());
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
        let malformed = |reason: String| FrameError::Malformed(reason);
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
