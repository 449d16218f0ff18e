//! Letters as the contract writes them, and what they are grouped by.

use chrono::{DateTime, Utc};
use prost_types::Timestamp;
use sha2::{Digest as _, Sha256};
use weir::contract::{event::v1::Violation, ingest::v1};
use weir_event::Source;
use weir_journal::{DeadLetter, DeadLetterStream, StoredDeadLetter};

use super::id::LetterId;

/// Bytes of a fingerprint that are shown: enough to tell letters apart, short enough to be typed.
const SHOWN_BYTES: usize = 16;

/// A letter without its bytes.
pub(super) fn letter(graveyard: DeadLetterStream, stored: &StoredDeadLetter) -> v1::DeadLetter {
    let letter = &stored.letter;
    v1::DeadLetter {
        id: LetterId { graveyard, sequence: stored.sequence }.to_string(),
        graveyard: number(graveyard),
        fingerprint: fingerprint(letter),
        group_fingerprint: group_fingerprint(graveyard, letter),
        laid_down_at: Some(timestamp(stored.stored_at)),
        source: letter.source.map_or(0, Source::number),
        event_id: letter.event_id.clone().unwrap_or_default(),
        violations: letter.violations.iter().cloned().map(Violation::from).collect(),
        origin: Some(letter.origin.clone().into()),
        media_type: letter.media_type.name().to_owned(),
        size: letter.size,
        cut: letter.is_truncated(),
        sha256: letter.sha256.map(Vec::from).unwrap_or_default(),
        raw: Vec::new(),
    }
}

pub(super) fn number(graveyard: DeadLetterStream) -> i32 {
    match graveyard {
        DeadLetterStream::Rejected => v1::Graveyard::Rejected.into(),
        DeadLetterStream::Parked => v1::Graveyard::Parked.into(),
    }
}

pub(super) fn timestamp(instant: DateTime<Utc>) -> Timestamp {
    let nanos = i32::try_from(instant.timestamp_subsec_nanos()).unwrap_or_default();
    Timestamp { seconds: instant.timestamp(), nanos }
}

pub(super) fn fingerprint(letter: &DeadLetter) -> String {
    hex::encode(&letter.fingerprint()[..SHOWN_BYTES])
}

/// Letters of one graveyard and source that have the same reason share it.
pub(super) fn group_fingerprint(graveyard: DeadLetterStream, letter: &DeadLetter) -> String {
    let source = letter.source.map_or("unknown", Source::name);
    let group = format!("{}\n{source}\n{}", graveyard.name(), reason(letter));
    hex::encode(&Sha256::digest(group)[..SHOWN_BYTES])
}

/// Every broken rule in its order.
pub(super) fn reason(letter: &DeadLetter) -> String {
    let violations = letter.violations.iter();
    let told = violations.map(|violation| format!("{} {}", violation.pointer, violation.rule()));
    told.map(|told| told.trim_start().to_owned()).collect::<Vec<_>>().join("; ")
}
