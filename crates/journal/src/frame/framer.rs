//! The framer: packs admitted events into frames. Each event keeps the bytes in which it was encoded at the gate.

use std::mem;

use bytes::Bytes;
use prost::Message as _;
use sha2::{Digest as _, Sha256};
use uuid::{Builder, Uuid};
use weir::contract::event::v1;
use weir_event::{EncodedEvent, Origin, Source};

use super::version::{ERASURE_VERSION, EVENTS_VERSION};

/// The most events in a frame.
pub const MAX_FRAME_EVENTS: usize = 512;
/// The most bytes of a frame. Only an event that is larger by itself makes a larger frame.
pub const MAX_FRAME_BYTES: usize = 256 * 1024;

/// The most bytes that a frame adds to an event: tag, length and index of the origin.
const ENTRY_BYTES: usize = 16;

/// Bytes of a frame's version, id and source, with their tags.
const FRAME_HEADER_BYTES: usize = 64;

/// The most bytes of a frame that a journal accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameLimit {
    pub(crate) bytes: usize,
}

/// An encoded frame, with the fields that its append and its accounting need.
#[derive(Clone, Debug, PartialEq)]
pub struct SealedFrame {
    pub(super) version: u32,
    pub(super) id: String,
    pub(super) source: Source,
    pub(super) accepted: u64,
    pub(super) origins: Vec<Origin>,
    pub(super) payload: Bytes,
}

/// Packs events into frames, source by source, in the order of the pushes.
#[derive(Debug, Default)]
pub struct Framer {
    limit: FrameLimit,
    publish_id: Option<String>,
    facebook: OpenFrame,
    tiktok: OpenFrame,
    sealed: Vec<SealedFrame>,
}

/// The frame of one source that the framer is filling.
#[derive(Debug, Default)]
struct OpenFrame {
    events: Vec<EncodedEvent>,
    /// The index of the origin and the number of repeats, for each event.
    origins_and_repeats: Vec<(u32, u32)>,
    origins: Vec<Origin>,
    accepted: u64,
    bytes: usize,
}

impl Default for FrameLimit {
    /// Only [`MAX_FRAME_BYTES`] applies.
    fn default() -> Self {
        Self { bytes: usize::MAX }
    }
}

impl FrameLimit {
    /// The most bytes of the entries of a frame.
    fn max_entry_bytes(self) -> usize {
        MAX_FRAME_BYTES.min(self.bytes.saturating_sub(FRAME_HEADER_BYTES))
    }
}

impl SealedFrame {
    /// The frame's id, which is also its message id in the journal and the same in every retry. It is a UUIDv7, or a
    /// UUIDv8 that a repeated call with the same publish id derives again.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The source of every event in the frame.
    #[must_use]
    pub fn source(&self) -> Source {
        self.source
    }

    /// The number of accepted events that the frame stands for: its events and their repeats.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.accepted
    }

    /// Whether the frame requests an erasure and carries no events.
    pub(crate) fn is_erasure(&self) -> bool {
        self.version == ERASURE_VERSION
    }

    /// The version of the frame's format.
    pub(crate) fn version(&self) -> u32 {
        self.version
    }

    /// The origins of its events or of its erasure; at least one.
    #[must_use]
    pub fn origins(&self) -> &[Origin] {
        &self.origins
    }

    /// The encoded frame, as the journal stores it.
    #[must_use]
    pub fn payload(&self) -> &Bytes {
        &self.payload
    }
}

impl Framer {
    /// A framer for a call that the client may repeat under `publish_id`. The same events under the same publish id make
    /// frames with the same ids, so that a journal or store that has them recognises them. Without a publish id every
    /// frame gets a new id.
    #[must_use]
    pub fn new(publish_id: Option<String>) -> Self {
        Self { publish_id, ..Self::default() }
    }

    /// The same framer for a journal that limits its frames.
    #[must_use]
    pub fn with_limit(self, limit: FrameLimit) -> Self {
        Self { limit, ..self }
    }

    /// Adds an admitted event. `repeats` is the number of later items of its array with the same identity.
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

    /// The frames, each within its limits.
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
            || (self.events.len() < MAX_FRAME_EVENTS && self.bytes + bytes <= limit.max_entry_bytes())
    }

    fn push(&mut self, event: EncodedEvent, bytes: usize, origin: &Origin, repeats: u32) {
        // Items of one call follow each other, so that only the last origin must be compared.
        if self.origins.last() != Some(origin) {
            self.bytes += origin_bytes(origin);
            self.origins.push(origin.clone());
        }
        let origin = u32::try_from(self.origins.len() - 1).expect("a frame has at most 512 origins");
        self.events.push(event);
        self.origins_and_repeats.push((origin, repeats));
        self.accepted += 1 + u64::from(repeats);
        self.bytes += bytes;
    }

    fn seal(self, source: Source, publish_id: Option<&str>) -> SealedFrame {
        let frame_id = publish_id.map_or_else(Uuid::now_v7, |id| self.derive_id(source, id));
        let events =
            self.events.into_iter().zip(self.origins_and_repeats).map(|(event, (origin, repeats))| {
                v1::FramedEvent { event: event.into_bytes(), origin, repeats }
            });
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

    /// Derives the frame's id from the publish id and the identities of its events. The position of the events in the
    /// call is not enough: a build that frames the same call in another way must get other ids.
    fn derive_id(&self, source: Source, publish_id: &str) -> Uuid {
        let mut hash = Sha256::new();
        let mut add = |part: &[u8]| {
            hash.update(part.len().to_be_bytes());
            hash.update(part);
        };
        add(publish_id.as_bytes());
        add(source.name().as_bytes());
        for (event, (_, repeats)) in self.events.iter().zip(&self.origins_and_repeats) {
            add(event.id());
            add(&repeats.to_be_bytes());
        }
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash.finalize()[..16]);
        Builder::from_custom_bytes(bytes).into_uuid()
    }
}

/// Bytes of the origin's strings, its tags and lengths, and its arrival time.
fn origin_bytes(origin: &Origin) -> usize {
    origin.correlation_id.as_str().len() + origin.traceparent.len() + origin.tracestate.len() + 32
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
