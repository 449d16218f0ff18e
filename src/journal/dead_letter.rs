//! Dead letters: items that the gate refused and accepted events that storage refused, with what a person needs
//! to mend them.

use bytes::Bytes;
use chrono::{DateTime, Utc};

use crate::event::{Origin, Source, Violation};

/// The most raw bytes that a dead letter keeps; what is longer is cut, with size and SHA-256 (wire.md section 5).
pub const MAX_RAW_BYTES: usize = 64 * 1024;

/// What the raw bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaType {
    /// A webhook's item, as it was sent.
    Json,
    /// A `weir.event.v1.Event`, or a frame that could not be read.
    Protobuf,
}

/// One item that is not among the stored events, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct DeadLetter {
    /// At most [`MAX_RAW_BYTES`].
    pub raw: Bytes,
    pub media_type: MediaType,
    /// Bytes of the whole item.
    pub size: u64,
    /// Of the whole item, where `raw` was cut.
    pub sha256: Option<[u8; 32]>,
    /// Every rule that it breaks, or storage's reason at pointer `""`.
    pub violations: Vec<Violation>,
    pub source: Option<Source>,
    pub event_id: Option<String>,
    pub origin: Origin,
}

/// A dead letter as it lies in its stream.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredDeadLetter {
    /// Its place in the stream; ascends, never reused.
    pub sequence: u64,
    pub subject: String,
    pub stored_at: DateTime<Utc>,
    pub letter: DeadLetter,
}
