//! The erasure: a request to remove a person from the stored events. It travels through the journal, so that it is
//! durable and keeps its place among the person's events.

use std::fmt;

use chrono::{DateTime, SubsecRound as _, Utc};
use prost::Message as _;
use uuid::Uuid;
use weir::contract::{event::v1, instant_micros, timestamp};
use weir_event::{Origin, Source};

use super::{
    framer::SealedFrame,
    version::{ERASURE_VERSION, FrameError},
};

/// A request to remove a person of one source from the stored events.
#[derive(Clone, PartialEq)]
pub struct Erasure {
    /// A UUID; also the id of the frame.
    pub id: String,
    pub source: Source,
    pub user_id: String,
    /// Whether the store also removes the person from events that arrive later.
    pub suppress: bool,
    /// The store removes the person from every event that arrived up to this time. Precise to microseconds.
    pub requested_at: DateTime<Utc>,
    /// The call that requested the erasure.
    pub origin: Origin,
}

impl Erasure {
    /// An erasure that is requested when `origin` arrives.
    #[must_use]
    pub fn new(source: Source, user_id: String, suppress: bool, origin: Origin) -> Self {
        let requested_at = origin.arrived_at.trunc_subsecs(6);
        Self { id: Uuid::now_v7().to_string(), source, user_id, suppress, requested_at, origin }
    }

    /// Encodes the erasure as a frame.
    #[must_use]
    pub fn seal(&self) -> SealedFrame {
        let erasure = v1::Erasure {
            user_id: self.user_id.clone(),
            suppress: self.suppress,
            requested_at: Some(timestamp(self.requested_at)),
        };
        let message = v1::Frame {
            version: ERASURE_VERSION,
            frame_id: self.id.clone(),
            source: self.source.number(),
            origins: vec![self.origin.clone().into()],
            events: Vec::new(),
            erasure: Some(erasure),
        };
        SealedFrame {
            version: ERASURE_VERSION,
            payload: message.encode_to_vec().into(),
            id: message.frame_id,
            source: self.source,
            accepted: 0,
            origins: vec![self.origin.clone()],
        }
    }

    pub(super) fn restore(message: v1::Frame) -> Result<Self, FrameError> {
        let malformed = |reason: &str| FrameError::Malformed(reason.to_owned());
        let source =
            Source::from_number(message.source).ok_or_else(|| malformed("it has no known source"))?;
        let origin = message.origins.into_iter().next().and_then(Origin::restore);
        let erasure = message.erasure.filter(|erasure| !erasure.user_id.is_empty());
        let erasure = erasure.ok_or_else(|| malformed("it names no person"))?;
        if message.frame_id.is_empty() || !message.events.is_empty() {
            return Err(malformed("an erasure has an id and no events"));
        }
        Ok(Self {
            id: message.frame_id,
            source,
            user_id: erasure.user_id,
            suppress: erasure.suppress,
            requested_at: instant_micros(erasure.requested_at).ok_or_else(|| malformed("it has no time"))?,
            origin: origin.ok_or_else(|| malformed("its origin is malformed"))?,
        })
    }
}

/// Omits the person, so that no log and no error names a person.
impl fmt::Debug for Erasure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, source, suppress, .. } = self;
        write!(formatter, "Erasure({id}, {source}, suppress: {suppress})")
    }
}
