//! From admitted events to frames that are ready for the journal: an event is passed on as it was
//! encoded when it was admitted.

use std::mem;

use bytes::Bytes;
use prost::Message as _;
use sha2::{Digest as _, Sha256};
use uuid::{Builder, Uuid};
use weir::contract::event::v1;
use weir_event::{EncodedEvent, Origin, Source};

use super::{Content, ERASURE_VERSION, EVENTS_VERSION, FrameError, MAX_FRAME_BYTES, MAX_FRAME_EVENTS};

/// Tag, length and origin index around an event: what one costs the frame beside its own bytes, at most.
const ENTRY_BYTES: usize = 16;

/// Version, id and source of a frame, with their tags.
const FRAME_BYTES: usize = 64;

/// How many bytes a frame may have in a journal, at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameLimit {
    pub(crate) bytes: usize,
}

/// A frame as it goes into the journal: encoded, with what its append and its accounting need.
#[derive(Clone, Debug, PartialEq)]
pub struct SealedFrame {
    pub(super) version: u32,
    pub(super) id: String,
    pub(super) source: Source,
    pub(super) accepted: u64,
    pub(super) origins: Vec<Origin>,
    pub(super) payload: Bytes,
}

/// Fills frames, source by source, in the order of the pushes.
#[derive(Debug, Default)]
pub struct Framer {
    limit: FrameLimit,
    publish_id: Option<String>,
    facebook: OpenFrame,
    tiktok: OpenFrame,
    sealed: Vec<SealedFrame>,
}

#[derive(Debug, Default)]
struct OpenFrame {
    events: Vec<EncodedEvent>,
    /// One for each event: the index of its origin, and its repeats.
    named: Vec<(u32, u32)>,
    origins: Vec<Origin>,
    accepted: u64,
    bytes: usize,
}

impl Default for FrameLimit {
    /// None but the frame's own bound.
    fn default() -> Self {
        Self { bytes: usize::MAX }
    }
}

impl FrameLimit {
    /// Bytes of events and their origins in one frame of several.
    fn most_bytes(self) -> usize {
        MAX_FRAME_BYTES.min(self.bytes.saturating_sub(FRAME_BYTES))
    }
}

impl Framer {
    /// For a call that may be repeated under `publish_id`: the same events under the same id make frames of the same
    /// ids, so that a journal and a store that have them know them again. Without one every frame is a new one.
    #[must_use]
    pub fn new(publish_id: Option<String>) -> Self {
        Self { publish_id, ..Self::default() }
    }

    /// The same for a journal whose frames have a limit of their own.
    #[must_use]
    pub fn within(self, limit: FrameLimit) -> Self {
        Self { limit, ..self }
    }

    /// Adds an admitted event; `repeats` later items of its array carried the same identity.
    pub fn push(&mut self, event: impl Into<EncodedEvent>, origin: &Origin, repeats: u32) {
        let event = event.into();
        let source = event.source();
        let bytes = event.bytes().len() + ENTRY_BYTES;
        let open = match source {
            Source::Facebook => &mut self.facebook,
            Source::Tiktok => &mut self.tiktok,
        };
        if !open.has_room(bytes + origin_bytes(origin), self.limit) {
            self.sealed.push(mem::take(open).seal(source, self.publish_id.as_deref()));
        }
        open.push(event, bytes, origin, repeats);
    }

    /// The frames, each within its bounds.
    #[must_use]
    pub fn finish(self) -> Vec<SealedFrame> {
        let mut sealed = self.sealed;
        for (open, source) in [(self.facebook, Source::Facebook), (self.tiktok, Source::Tiktok)] {
            if !open.events.is_empty() {
                sealed.push(open.seal(source, self.publish_id.as_deref()));
            }
        }
        sealed
    }
}

impl OpenFrame {
    fn has_room(&self, bytes: usize, limit: FrameLimit) -> bool {
        self.events.is_empty()
            || (self.events.len() < MAX_FRAME_EVENTS && self.bytes + bytes <= limit.most_bytes())
    }

    fn push(&mut self, event: EncodedEvent, bytes: usize, origin: &Origin, repeats: u32) {
        // Items of one call follow each other, so only the origin before has to be compared.
        if self.origins.last() != Some(origin) {
            self.bytes += origin_bytes(origin);
            self.origins.push(origin.clone());
        }
        let origin = u32::try_from(self.origins.len() - 1).expect("a frame has at most 512 origins");
        self.events.push(event);
        self.named.push((origin, repeats));
        self.accepted += 1 + u64::from(repeats);
        self.bytes += bytes;
    }

    fn seal(self, source: Source, publish_id: Option<&str>) -> SealedFrame {
        let frame_id = publish_id.map_or_else(Uuid::now_v7, |id| self.derive_id(source, id));
        let events = self
            .events
            .into_iter()
            .zip(self.named)
            .map(|(event, (origin, repeats))| v1::FramedEvent { event: event.into_bytes(), origin, repeats });
        let message = v1::Frame {
            version: EVENTS_VERSION,
            frame_id: frame_id.to_string(),
            source: source.number(),
            origins: self.origins.iter().cloned().map(v1::Origin::from).collect(),
            events: events.collect(),
            erasure: None,
        };
        SealedFrame {
            version: EVENTS_VERSION,
            payload: message.encode_to_vec().into(),
            id: message.frame_id,
            source,
            accepted: self.accepted,
            origins: self.origins,
        }
    }
}

impl OpenFrame {
    /// The identities are part of it and not only their place in the call: were the same call framed otherwise, by
    /// another version or with other events, its frames must not be taken for these.
    fn derive_id(&self, source: Source, publish_id: &str) -> Uuid {
        let mut hash = Sha256::new();
        let mut add = |part: &[u8]| {
            hash.update(part.len().to_be_bytes());
            hash.update(part);
        };
        add(publish_id.as_bytes());
        add(source.name().as_bytes());
        for (event, (_, repeats)) in self.events.iter().zip(&self.named) {
            add(event.id());
            add(&repeats.to_be_bytes());
        }
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash.finalize()[..16]);
        Builder::from_custom_bytes(bytes).into_uuid()
    }
}

/// The strings, and room for tags, lengths and the arrival time.
fn origin_bytes(origin: &Origin) -> usize {
    origin.correlation_id.as_str().len() + origin.traceparent.len() + origin.tracestate.len() + 32
}

impl SealedFrame {
    /// A frame as it came out of a journal, to be put into one again under its own id.
    ///
    /// # Errors
    /// This build can't read it.
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

    /// Also the message id in the journal, the same in every retry: a UUIDv7, or a UUIDv8 that a call with a publish
    /// id makes again.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    #[must_use]
    pub fn source(&self) -> Source {
        self.source
    }

    /// How many accepted events it stands for: those that it carries and their repeats.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.accepted
    }

    /// Whether it asks for an erasure and carries no events.
    pub(crate) fn is_erasure(&self) -> bool {
        self.version == ERASURE_VERSION
    }

    /// Of its format: what a build must know to read it.
    pub(crate) fn version(&self) -> u32 {
        self.version
    }

    /// Where its events, or its erasure, came in; at least one.
    #[must_use]
    pub fn origins(&self) -> &[Origin] {
        &self.origins
    }

    /// As it goes into a journal.
    #[must_use]
    pub fn encoded(&self) -> Bytes {
        self.payload.clone()
    }

    pub(crate) fn payload(&self) -> &Bytes {
        &self.payload
    }
}

#[cfg(test)]
impl SealedFrame {
    /// A frame as a build of another version would write it.
    pub(crate) fn of_version(version: u32, source: Source, origin: Origin) -> Self {
        let id = Uuid::now_v7().to_string();
        let message =
            v1::Frame { version, frame_id: id.clone(), source: source.number(), ..v1::Frame::default() };
        Self {
            version,
            id,
            source,
            accepted: 0,
            origins: vec![origin],
            payload: message.encode_to_vec().into(),
        }
    }
}
