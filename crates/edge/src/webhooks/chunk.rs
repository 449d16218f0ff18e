//! Checks items and packs them for ingest, a bounded chunk at a time.

use bytes::BytesMut;
use sha2::{Digest as _, Sha256};
use weir::contract::{
    MAX_RAW_BYTES,
    ingest::v1::{self, item::Content},
};
use weir_event::{EncodedEvent, ErrorType, MAX_ITEM_BYTES, Refusal, Source, check_bytes, check_json};

use super::batch::{Batch, Cursor, Item};

/// Well below what ingest takes in one call (10,000 items, 16 MiB), so that the pieces of one body are worked on
/// side by side.
const MAX_ITEMS: usize = 1000;
const MAX_TEXT_BYTES: usize = 1 << 20;

/// What goes to ingest in one call, and what is remembered of it.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) items: Vec<v1::Item>,
    /// One for each item.
    pub(super) sent: Vec<Sent>,
}

/// What is remembered of an item while ingest has it.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) index: u64,
    /// Where its text is in the body.
    pub(super) offset: usize,
    pub(super) length: usize,
    pub(super) verdict: Verdict,
}

/// What the gate said.
#[derive(Debug)]
pub(super) enum Verdict {
    /// This many further items repeat it.
    Admitted {
        source: Source,
        repeats: u32,
    },
    Refused {
        source: Option<Source>,
        event_id: Option<String>,
    },
}

impl Sent {
    pub(super) fn source(&self) -> Option<Source> {
        match &self.verdict {
            Verdict::Admitted { source, .. } => Some(*source),
            Verdict::Refused { source, .. } => *source,
        }
    }

    pub(super) fn repeats(&self) -> u32 {
        match &self.verdict {
            Verdict::Admitted { repeats, .. } => *repeats,
            Verdict::Refused { .. } => 0,
        }
    }

    /// Why it failed, if it did.
    pub(super) fn error_type(&self) -> ErrorType {
        if self.length > MAX_ITEM_BYTES { ErrorType::TooLarge } else { ErrorType::Invalid }
    }
}

impl Chunk {
    /// The next items of the batch, or `None` after the last.
    pub(super) fn next(batch: &Batch, cursor: &mut Cursor) -> Option<Self> {
        let mut chunk = Self { items: Vec::new(), sent: Vec::new() };
        let mut buffer = BytesMut::new();
        let mut bytes = 0;
        while chunk.items.len() < MAX_ITEMS && bytes < MAX_TEXT_BYTES {
            let Some(item) = batch.next(cursor) else { break };
            if !batch.repeats.is_further(item.index) {
                bytes += item.raw.len();
                chunk.push(batch, item, &mut buffer);
            }
        }
        (!chunk.items.is_empty()).then_some(chunk)
    }

    fn push(&mut self, batch: &Batch, item: Item<'_>, buffer: &mut BytesMut) {
        let (content, verdict) = match check(batch, item, buffer) {
            Ok(event) => {
                let verdict =
                    Verdict::Admitted { source: event.source(), repeats: batch.repeats.of(item.index) };
                (Content::Event(event.into_bytes()), verdict)
            }
            Err(refusal) => {
                let (rejected, verdict) = reject(item.raw, refusal);
                (Content::Rejected(rejected), verdict)
            }
        };
        let sent = Sent { index: item.index, offset: item.offset, length: item.raw.len(), verdict };
        self.items.push(v1::Item { content: Some(content), origin: None, repeats: sent.repeats() });
        self.sent.push(sent);
    }
}

fn check(batch: &Batch, item: Item<'_>, buffer: &mut BytesMut) -> Result<EncodedEvent, Refusal> {
    if let Some(checked) = &batch.single {
        return checked.clone();
    }
    let checked = match item.text {
        Some(text) => check_json(text, batch.arrived_at),
        None => check_bytes(item.raw, batch.arrived_at),
    };
    checked.map(|event| event.encode(buffer))
}

fn reject(raw: &[u8], refusal: Refusal) -> (v1::RejectedItem, Verdict) {
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
    (rejected, Verdict::Refused { source, event_id })
}
