//! A dead letter in the contract: its id, its message and its fingerprints.

use std::fmt;

use sha2::{Digest as _, Sha256};
use weir::contract::{enums::UNKNOWN, event::v1::Violation, ingest::v1, timestamp};
use weir_event::Source;
use weir_journal::{DeadLetter, DeadLetterStream, StoredDeadLetter};

/// Bytes of a fingerprint in a response: enough to tell letters apart, few enough to type.
const SHOWN_BYTES: usize = 16;

/// The id of a letter, such as `rejected-17`: its stream and its sequence there. A scan uses it as its cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LetterId {
    pub(super) stream: DeadLetterStream,
    pub(super) sequence: u64,
}

impl LetterId {
    /// Parses an id; `None` for any other text.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (name, sequence) = text.split_once('-')?;
        let stream = DeadLetterStream::ALL.into_iter().find(|stream| stream.name() == name)?;
        let digits = sequence.bytes().all(|byte| byte.is_ascii_digit());
        let sequence = sequence.parse().ok().filter(|sequence| digits && *sequence < u64::MAX)?;
        Some(Self { stream, sequence })
    }
}

impl fmt::Display for LetterId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}-{}", self.stream.name(), self.sequence)
    }
}

/// The message of a letter, without the item's bytes.
pub(super) fn message(stream: DeadLetterStream, stored: &StoredDeadLetter) -> v1::DeadLetter {
    let letter = &stored.letter;
    v1::DeadLetter {
        id: LetterId { stream, sequence: stored.sequence }.to_string(),
        graveyard: stream_number(stream),
        fingerprint: fingerprint(letter),
        group_fingerprint: group_fingerprint(stream, letter),
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

/// The number of a stream in the contract, which calls it a graveyard.
pub(super) fn stream_number(stream: DeadLetterStream) -> i32 {
    match stream {
        DeadLetterStream::Rejected => v1::Graveyard::Rejected.into(),
        DeadLetterStream::Parked => v1::Graveyard::Parked.into(),
    }
}

/// The fingerprint of one letter: the same item rejected again has the same one.
pub(super) fn fingerprint(letter: &DeadLetter) -> String {
    hex::encode(&letter.fingerprint()[..SHOWN_BYTES])
}

/// The fingerprint of a group: letters of one stream and source with the same reason share it.
pub(super) fn group_fingerprint(stream: DeadLetterStream, letter: &DeadLetter) -> String {
    let source = letter.source.map_or(UNKNOWN, Source::name);
    let group = format!("{}\n{source}\n{}", stream.name(), reason(letter));
    hex::encode(&Sha256::digest(group)[..SHOWN_BYTES])
}

/// The reason of a letter: all its broken rules, in their order.
pub(super) fn reason(letter: &DeadLetter) -> String {
    let violations = letter.violations.iter();
    let rules = violations.map(|violation| format!("{} {}", violation.pointer, violation.rule()));
    rules.map(|rule| rule.trim_start().to_owned()).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_parses_back_and_other_texts_do_not() {
        let id = LetterId { stream: DeadLetterStream::Parked, sequence: 17 };
        assert_eq!((id.to_string().as_str(), LetterId::parse("parked-17")), ("parked-17", Some(id)));
        for text in ["", "parked", "parked-", "parked--1", "parked-+1", "lost-1", "18446744073709551615"] {
            assert_eq!(LetterId::parse(text), None, "{text}");
        }
    }
}
