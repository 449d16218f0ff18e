//! What a message of the journal carries, told by its version: events, or the erasure of a person.

use bytes::Bytes;
use prost::Message as _;
use weir::contract::event::v1;

use super::{Erasure, Frame};

/// The version of a frame of events.
pub(crate) const EVENTS_VERSION: u32 = 1;
/// The version of an erasure: a build that knows the first alone leaves it to others.
pub(crate) const ERASURE_VERSION: u32 = 2;
/// The newest that this build reads.
pub(super) const NEWEST: u32 = ERASURE_VERSION;

/// What a message of the journal carries.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    Events(Frame),
    Erasure(Erasure),
}

/// Why a message of the journal is no frame for this build.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Another collector, of the next build, can read it.
    #[error("the frame has version {0}, this build reads up to {NEWEST}")]
    Newer(u32),
    /// No build that runs beside this one writes it: builds that do so are one version apart (docs/upgrades.md).
    #[error(
        "the frame has version {0}, and this build reads up to {NEWEST}: no build beside it can have written that"
    )]
    TooNew(u32),
    /// Nobody can read it.
    #[error("the frame can't be read: {0}")]
    Malformed(String),
}

/// The version alone: what a newer build means by the other fields is not for this one to guess.
#[derive(Clone, Copy, PartialEq, prost::Message)]
struct Versioned {
    #[prost(uint32, tag = "1")]
    version: u32,
}

impl Content {
    /// Whether these bytes begin as a frame of any version does; those of an event don't.
    pub(crate) fn names_a_version(bytes: &[u8]) -> bool {
        Versioned::decode(bytes).is_ok_and(|versioned| versioned.version > 0)
    }

    pub(crate) fn decode(bytes: &Bytes) -> Result<Self, FrameError> {
        let malformed = |error: prost::DecodeError| FrameError::Malformed(error.to_string());
        let message = || v1::Frame::decode(bytes.clone()).map_err(malformed);
        match Versioned::decode(&**bytes).map_err(malformed)?.version {
            EVENTS_VERSION => Frame::restore(message()?).map(Self::Events),
            ERASURE_VERSION => Erasure::restore(message()?).map(Self::Erasure),
            0 => Err(FrameError::Malformed("it has no version".to_owned())),
            newer if newer == NEWEST + 1 => Err(FrameError::Newer(newer)),
            newer => Err(FrameError::TooNew(newer)),
        }
    }
}
