//! Names of streams, subjects and consumers.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use weir_event::Source;

use crate::dead_letter_stream::DeadLetterStream;

const EVENTS: &str = "EVENTS";
const DEAD_LETTERS: &str = "DEAD_LETTERS";
const REJECTED: &str = "REJECTED";
const STATE: &str = "WEIR_STATE";
/// A stream's name is the name of a folder on the server. This limit leaves room for the part after the prefix.
const MAX_PREFIX_BYTES: usize = 32;

/// The names of one deployment. Deployments that share a server have different prefixes (JOURNAL_PREFIX). A clone is
/// cheap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    prefix: Option<Arc<str>>,
}

impl Names {
    /// Names with a prefix of 1 to 32 letters, digits, `-` or `_`. The prefix `acme` makes `acme_EVENTS`,
    /// `acme.events.facebook` and `acme-collector-facebook`.
    ///
    /// # Errors
    /// `prefix` breaks the rule; the text has the rule.
    pub fn with_prefix(prefix: &str) -> Result<Self, String> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if prefix.is_empty() || prefix.len() > MAX_PREFIX_BYTES || !prefix.bytes().all(allowed) {
            return Err(format!("'{prefix}' is not 1 to {MAX_PREFIX_BYTES} letters, digits, - or _"));
        }
        Ok(Self { prefix: Some(prefix.into()) })
    }

    /// `EVENTS`
    pub(super) fn events_stream(&self) -> String {
        self.stream(EVENTS)
    }

    /// `REJECTED` or `DEAD_LETTERS`
    pub(super) fn dead_letter_stream(&self, stream: DeadLetterStream) -> String {
        self.stream(stream_name(stream))
    }

    /// The key-value bucket with the checkpoints of `EVENTS`.
    pub(super) fn state_bucket(&self) -> String {
        self.stream(STATE)
    }

    /// `events.facebook`
    pub(super) fn events(&self, source: Source) -> String {
        self.subject(&format!("events.{source}"))
    }

    /// `erasures.facebook`
    pub(super) fn erasures(&self, source: Source) -> String {
        self.subject(&format!("erasures.{source}"))
    }

    /// `collector-facebook`
    pub(super) fn consumer(&self, source: Source) -> String {
        self.joined('-', &format!("collector-{source}"))
    }

    /// Every subject of a dead-letter stream.
    pub(super) fn all_dead_letters(&self, stream: DeadLetterStream) -> String {
        self.subject(&format!("{}.>", first_token(stream)))
    }

    /// `dead.<source>.<hash of eventId>` or `rejected.<source or unknown>.<hash of eventId, or of the bytes>`
    pub(super) fn dead_letter(
        &self,
        stream: DeadLetterStream,
        source: Option<Source>,
        identity: &[u8],
    ) -> String {
        let source = source.map_or("unknown", Source::name);
        self.subject(&format!("{}.{source}.{}", first_token(stream), hash(identity)))
    }

    fn stream(&self, name: &str) -> String {
        self.joined('_', name)
    }

    fn subject(&self, name: &str) -> String {
        self.joined('.', name)
    }

    fn joined(&self, separator: char, name: &str) -> String {
        match &self.prefix {
            Some(prefix) => format!("{prefix}{separator}{name}"),
            None => name.to_owned(),
        }
    }
}

/// The label of a stream in metrics: its name without a prefix. `None` is `EVENTS`.
pub(super) fn stream_label(stream: Option<DeadLetterStream>) -> &'static str {
    stream.map_or(EVENTS, stream_name)
}

fn stream_name(stream: DeadLetterStream) -> &'static str {
    match stream {
        DeadLetterStream::Rejected => REJECTED,
        DeadLetterStream::Parked => DEAD_LETTERS,
    }
}

/// The first token of a dead-letter stream's subjects.
fn first_token(stream: DeadLetterStream) -> &'static str {
    match stream {
        DeadLetterStream::Rejected => "rejected",
        DeadLetterStream::Parked => "dead",
    }
}

/// The first 16 bytes of the SHA-256, in hexadecimal. An id may have characters that a subject does not allow.
fn hash(identity: &[u8]) -> String {
    hex::encode(&Sha256::digest(identity)[..16])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_protocol() {
        let names = Names::default();
        assert_eq!(names.events(Source::Tiktok), "events.tiktok");
        assert_eq!(names.erasures(Source::Facebook), "erasures.facebook");
        assert_eq!(names.consumer(Source::Facebook), "collector-facebook");
        assert_eq!(names.events_stream(), "EVENTS");
        let parked = names.dead_letter(DeadLetterStream::Parked, Some(Source::Facebook), b"a");
        assert_eq!(parked, "dead.facebook.ca978112ca1bbdcafac231b39a23dc4d");
        let rejected = names.dead_letter(DeadLetterStream::Rejected, None, b"a");
        assert_eq!(rejected, "rejected.unknown.ca978112ca1bbdcafac231b39a23dc4d");
    }

    #[test]
    fn every_name_starts_with_the_prefix() {
        let names = Names::with_prefix("acme").unwrap();
        assert_eq!(names.events_stream(), "acme_EVENTS");
        assert_eq!(names.dead_letter_stream(DeadLetterStream::Parked), "acme_DEAD_LETTERS");
        assert_eq!(names.state_bucket(), "acme_WEIR_STATE");
        assert_eq!(names.events(Source::Facebook), "acme.events.facebook");
        assert_eq!(names.erasures(Source::Tiktok), "acme.erasures.tiktok");
        assert_eq!(names.all_dead_letters(DeadLetterStream::Rejected), "acme.rejected.>");
        assert_eq!(names.consumer(Source::Facebook), "acme-collector-facebook");
        for refused in ["", "a.b", "a b", "*", "é", &"x".repeat(33)] {
            assert!(Names::with_prefix(refused).is_err(), "{refused:?}");
        }
    }
}
