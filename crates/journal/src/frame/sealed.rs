//! A frame that is encoded and ready for the journal.

use bytes::Bytes;
use weir_event::{Origin, Source};

use super::version::ERASURE_VERSION;

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

#[cfg(test)]
impl SealedFrame {
    /// A frame as a build of another version would write it.
    pub(crate) fn of_version(version: u32, source: Source, origin: Origin) -> Self {
        use prost::Message as _;
        use weir::contract::event::v1;

        let id = uuid::Uuid::now_v7().to_string();
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
