//! Chunks of a body: checks items with the gate and packs them into bounded calls to ingest.

use bytes::BytesMut;
use sha2::{Digest as _, Sha256};
use weir::contract::{
    MAX_RAW_BYTES,
    ingest::v1::{self, item::Content},
};
use weir_event::{EncodedEvent, ErrorType, MAX_ITEM_BYTES, Refusal, Source, check_bytes, check_json};

use super::{
    items::{Cursor, Item},
    parsed_body::ParsedBody,
};

/// Well below the limits of one call to ingest (10,000 items, 16 MiB), so that several chunks of a body are in flight
/// at once.
const MAX_ITEMS: usize = 1000;
const MAX_TEXT_BYTES: usize = 1 << 20;

/// The items of one call, and the edge's record of each.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) items: Vec<v1::Item>,
    /// One for each item, in the same order.
    pub(super) sent: Vec<SentItem>,
}

/// The edge's record of an item that it has sent to ingest.
#[derive(Debug)]
pub(super) struct SentItem {
    pub(super) index: u64,
    /// The offset of its text in the body, in bytes.
    pub(super) offset: usize,
    pub(super) length: usize,
    pub(super) check: GateCheck,
}

/// The gate's result for an item.
#[derive(Debug)]
pub(super) enum GateCheck {
    Admitted {
        source: Source,
        /// The number of later items of the body that repeat this one.
        repeats: u32,
    },
    Rejected {
        source: Option<Source>,
        event_id: Option<String>,
    },
}

impl SentItem {
    pub(super) fn source(&self) -> Option<Source> {
        match &self.check {
            GateCheck::Admitted { source, .. } => Some(*source),
            GateCheck::Rejected { source, .. } => *source,
        }
    }

    pub(super) fn repeats(&self) -> u32 {
        match &self.check {
            GateCheck::Admitted { repeats, .. } => *repeats,
            GateCheck::Rejected { .. } => 0,
        }
    }

    /// The error type of this item in metrics, should ingest reject it.
    pub(super) fn error_type(&self) -> ErrorType {
        if self.length > MAX_ITEM_BYTES { ErrorType::TooLarge } else { ErrorType::Invalid }
    }
}

impl Chunk {
    /// Checks and packs the next items of the body. Returns `None` after the last.
    pub(super) fn next(body: &ParsedBody, cursor: &mut Cursor) -> Option<Self> {
        let mut chunk = Self { items: Vec::new(), sent: Vec::new() };
        let mut buffer = BytesMut::new();
        let mut bytes = 0;
        while chunk.items.len() < MAX_ITEMS && bytes < MAX_TEXT_BYTES {
            let Some(item) = body.items.next(cursor) else { break };
            if !body.repeats.is_repeat(item.index) {
                bytes += item.raw.len();
                chunk.push(body, item, &mut buffer);
            }
        }
        (!chunk.items.is_empty()).then_some(chunk)
    }

    fn push(&mut self, body: &ParsedBody, item: Item<'_>, buffer: &mut BytesMut) {
        let (content, check) = match check_item(body, item, buffer) {
            Ok(event) => {
                let check = GateCheck::Admitted {
                    source: event.source(),
                    repeats: body.repeats.count_of(item.index),
                };
                (Content::Event(event.into_bytes()), check)
            }
            Err(refusal) => {
                let (rejected, check) = reject_item(item.raw, refusal);
                (Content::Rejected(rejected), check)
            }
        };
        let sent = SentItem { index: item.index, offset: item.offset, length: item.raw.len(), check };
        self.items.push(v1::Item { content: Some(content), origin: None, repeats: sent.repeats() });
        self.sent.push(sent);
    }
}

fn check_item(body: &ParsedBody, item: Item<'_>, buffer: &mut BytesMut) -> Result<EncodedEvent, Refusal> {
    if let Some(checked) = &body.single {
        return checked.clone();
    }
    let checked = match item.text {
        Some(text) => check_json(text, body.arrived_at),
        None => check_bytes(item.raw, body.arrived_at),
    };
    checked.map(|event| event.encode(buffer))
}

fn reject_item(raw: &[u8], refusal: Refusal) -> (v1::RejectedItem, GateCheck) {
    let Refusal { violations, source, event_id } = refusal;
    let kept = &raw[..raw.len().min(MAX_RAW_BYTES)];
    let rejected = v1::RejectedItem {
        raw: kept.to_vec(),
        violations: violations.into_iter().map(Into::into).collect(),
        source: source.map_or(0, Source::number),
        event_id: event_id.clone().unwrap_or_default(),
        size: raw.len() as u64,
        sha256: if kept.len() < raw.len() { Sha256::digest(raw).to_vec() } else { Vec::new() },
    };
    (rejected, GateCheck::Rejected { source, event_id })
}
