//! Dead letters: items that the gate refused and accepted events that storage refused, with the data that an operator
//! needs to correct them.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use prost::Message as _;
use sha2::{Digest as _, Sha256};
pub use weir::contract::MAX_RAW_BYTES;
use weir::contract::event::v1;
use weir_event::{Origin, Source, Violation};

use crate::{
    dead_letter_stream::DeadLetterStream,
    frame::{Frame, has_version},
    names::Names,
};

/// The version that this build writes, and the newest that it reads.
const VERSION: u32 = 1;

/// The format of the raw bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaType {
    /// An item of a webhook, as it was sent.
    Json,
    /// A `weir.event.v1.Event`, or a frame that can't be read.
    Protobuf,
}

/// One item that is not among the stored events, with the reasons.
#[derive(Clone, Debug, PartialEq)]
pub struct DeadLetter {
    /// The bytes of the item; at most [`MAX_RAW_BYTES`], unless it is a whole frame.
    pub raw: Bytes,
    pub media_type: MediaType,
    /// The number of bytes of the whole item.
    pub size: u64,
    /// The SHA-256 of the whole item, if `raw` is truncated.
    pub sha256: Option<[u8; 32]>,
    /// Every rule that the item breaks, or the reason of the storage at pointer `""`.
    pub violations: Vec<Violation>,
    pub source: Option<Source>,
    pub event_id: Option<String>,
    pub origin: Origin,
}

/// A dead letter in its stream.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredDeadLetter {
    /// The position in the stream. Sequences ascend and are never reused.
    pub sequence: u64,
    pub subject: String,
    pub stored_at: DateTime<Utc>,
    pub letter: DeadLetter,
}

impl DeadLetter {
    /// The dead letter of an item with the bytes `whole`. More than [`MAX_RAW_BYTES`] bytes are truncated; size and SHA-256
    /// are those of the whole.
    #[must_use]
    pub fn new(
        whole: Bytes,
        media_type: MediaType,
        violations: Vec<Violation>,
        source: Option<Source>,
        event_id: Option<String>,
        origin: Origin,
    ) -> Self {
        let size = whole.len() as u64;
        let is_truncated = whole.len() > MAX_RAW_BYTES;
        let sha256 = is_truncated.then(|| Sha256::digest(&whole).into());
        // A copy, so that the truncated letter does not keep the whole item in memory.
        let raw = if is_truncated { Bytes::copy_from_slice(&whole[..MAX_RAW_BYTES]) } else { whole };
        Self { raw, media_type, size, sha256, violations, source, event_id, origin }
    }

    /// The dead letter of a frame that this build can't read. It is never truncated, so that a build that can read the frame
    /// can redrive it.
    #[must_use]
    pub fn from_frame(frame: Bytes, violations: Vec<Violation>, source: Source, origin: Origin) -> Self {
        let size = frame.len() as u64;
        Self {
            raw: frame,
            media_type: MediaType::Protobuf,
            size,
            sha256: None,
            violations,
            source: Some(source),
            event_id: None,
            origin,
        }
    }

    /// The letter with at most `max_bytes` bytes when it is encoded. Raw bytes are truncated first, with size and SHA-256 of
    /// the whole, then the last violations. A whole frame is never truncated, because a part of it can't be redriven.
    #[must_use]
    pub(super) fn truncated_to(mut self, max_bytes: usize) -> Self {
        let excess = |letter: &Self| letter.encode().len().saturating_sub(max_bytes);
        if excess(&self) == 0 || self.is_frame() {
            return self;
        }
        self.sha256 = self.sha256.or_else(|| Some(Sha256::digest(&self.raw).into()));
        let kept = self.raw.len().saturating_sub(excess(&self));
        self.raw = Bytes::copy_from_slice(&self.raw[..kept]);
        while excess(&self) > 0 && self.violations.len() > 1 {
            self.violations.truncate(self.violations.len() / 2);
        }
        self
    }

    /// Whether the letter is a whole frame of accepted events, and not one item.
    #[must_use]
    pub fn is_frame(&self) -> bool {
        self.media_type == MediaType::Protobuf && self.event_id.is_none() && has_version(&self.raw)
    }

    /// Whether `raw` is only a part of the item.
    #[must_use]
    pub fn is_truncated(&self) -> bool {
        self.sha256.is_some() || self.size > self.raw.len() as u64
    }

    /// The SHA-256 of source, event id, whole item and broken rules. An item that is posted again has the same fingerprint,
    /// whichever call brings it.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(self.source.map_or(0, Source::number).to_be_bytes());
        hash.update(self.sha256.unwrap_or_else(|| Sha256::digest(&self.raw).into()));
        let reasons = self.violations.iter().flat_map(|violation| [&*violation.pointer, violation.rule()]);
        for text in self.event_id.as_deref().into_iter().chain(reasons) {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text);
        }
        hash.finalize().into()
    }

    /// The subject of the letter in its stream. Letters of one identity share it: the event's id, or the bytes of an item
    /// without an id.
    pub(super) fn subject(&self, names: &Names, stream: DeadLetterStream) -> String {
        let identity = self.event_id.as_ref().map_or(self.raw.as_ref(), |id| id.as_bytes());
        names.dead_letter(stream, self.source, identity)
    }

    pub(super) fn encode(&self) -> Bytes {
        let message = v1::DeadLetter {
            version: VERSION,
            raw: self.raw.to_vec(),
            media_type: self.media_type.name().to_owned(),
            size: self.size,
            sha256: self.sha256.map(Vec::from).unwrap_or_default(),
            violations: self.violations.iter().cloned().map(v1::Violation::from).collect(),
            source: self.source.map_or(0, Source::number),
            event_id: self.event_id.clone().unwrap_or_default(),
            origin: Some(self.origin.clone().into()),
        };
        message.encode_to_vec().into()
    }

    /// Decodes a letter; `None` if the bytes are no letter of this version.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let message = v1::DeadLetter::decode(bytes).ok().filter(|message| message.version == VERSION)?;
        Some(Self {
            raw: message.raw.into(),
            media_type: MediaType::from_name(&message.media_type)?,
            size: message.size,
            sha256: if message.sha256.is_empty() { None } else { Some(message.sha256.try_into().ok()?) },
            violations: message.violations.into_iter().map(Violation::from).collect(),
            source: Source::from_number(message.source),
            event_id: Some(message.event_id).filter(|id| !id.is_empty()),
            origin: Origin::restore(message.origin?)?,
        })
    }
}

impl Frame {
    /// The dead letter of one event of the frame, which the storage refused for `reason`.
    ///
    /// # Panics
    /// The frame has no event at `index`.
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
}

impl MediaType {
    /// The name in a `Content-Type` header.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Protobuf => "application/protobuf",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [Self::Json, Self::Protobuf].into_iter().find(|media_type| media_type.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use chrono::SubsecRound as _;

    use super::*;
    use weir_process::CorrelationId;

    #[test]
    fn a_letter_is_truncated_to_the_limit_of_a_server_and_keeps_the_whole_item_s_size_and_hash() {
        const MOST: usize = 4096;
        let whole = vec![7; 10_000];
        let long = letter(whole.clone());
        let cut = long.clone().truncated_to(MOST);
        assert!((MOST - 100..=MOST).contains(&cut.encode().len()), "{}", cut.encode().len());
        assert!(cut.is_truncated());
        assert_eq!((cut.size, cut.sha256), (10_000, Some(Sha256::digest(&whole).into())));
        assert_eq!(cut.fingerprint(), long.fingerprint());
        let short = letter(vec![7; 10]);
        assert_eq!(short.clone().truncated_to(MOST), short);

        let verbose = DeadLetter { violations: vec![Violation::new("/a", "b".repeat(100)); 1000], ..long };
        assert!(verbose.truncated_to(MOST).encode().len() <= MOST);
    }

    fn letter(whole: Vec<u8>) -> DeadLetter {
        let origin = Origin {
            correlation_id: CorrelationId::generate(),
            traceparent: String::new(),
            tracestate: String::new(),
            arrived_at: Utc::now().trunc_subsecs(6),
        };
        DeadLetter::new(whole.into(), MediaType::Json, vec![Violation::new("/a", "b")], None, None, origin)
    }

    #[test]
    fn a_letter_reads_back_as_it_was_written() {
        for whole in [vec![], b"{\"\xff\0".to_vec(), vec![7; MAX_RAW_BYTES], vec![7; MAX_RAW_BYTES + 1]] {
            let letter = letter(whole);
            assert_eq!(DeadLetter::decode(&letter.encode()), Some(letter));
        }
    }

    #[test]
    fn only_an_item_that_is_too_long_is_truncated_and_hashed() {
        let kept = letter(vec![7; MAX_RAW_BYTES]);
        assert_eq!((kept.raw.len(), kept.size, kept.sha256), (MAX_RAW_BYTES, MAX_RAW_BYTES as u64, None));
        let cut = letter(vec![7; MAX_RAW_BYTES + 1]);
        assert_eq!((cut.raw.len(), cut.size), (MAX_RAW_BYTES, MAX_RAW_BYTES as u64 + 1));
        assert_eq!(cut.sha256, Some(Sha256::digest(vec![7; MAX_RAW_BYTES + 1]).into()));
    }

    #[test]
    fn the_letter_of_a_frame_is_not_truncated() {
        let whole = Bytes::from(vec![7; 4 * MAX_RAW_BYTES]);
        let origin = letter(Vec::new()).origin;
        let letter = DeadLetter::from_frame(whole.clone(), Vec::new(), Source::Tiktok, origin);
        assert_eq!(DeadLetter::decode(&letter.encode()).map(|letter| letter.raw), Some(whole));
        assert!(!letter.is_truncated());
    }

    #[test]
    fn an_item_has_the_same_fingerprint_in_every_call() {
        let item = letter(b"{}".to_vec());
        assert_eq!(item.fingerprint(), letter(b"{}".to_vec()).fingerprint());
        let others = [
            letter(b"{ }".to_vec()),
            DeadLetter { source: Some(Source::Tiktok), ..item.clone() },
            DeadLetter { violations: vec![Violation::new("/a", "c")], ..item.clone() },
            DeadLetter { violations: vec![Violation::new("/", "ab")], ..item.clone() },
        ];
        assert!(others.iter().all(|other| other.fingerprint() != item.fingerprint()));
    }

    #[test]
    fn letters_of_one_identity_share_a_subject() {
        let named = DeadLetter { event_id: Some("fb-1".to_owned()), ..letter(b"one".to_vec()) };
        let again = DeadLetter { event_id: Some("fb-1".to_owned()), ..letter(b"two".to_vec()) };
        let subject = |letter: DeadLetter| letter.subject(&Names::default(), DeadLetterStream::Rejected);
        assert_eq!(subject(named), subject(again));
        let nameless = subject(letter(b"one".to_vec()));
        assert_ne!(nameless, subject(letter(b"two".to_vec())));
        assert!(nameless.starts_with("rejected.unknown."));
    }
}
