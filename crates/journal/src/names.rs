//! The names of streams, subjects and consumers.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use weir_event::Source;

use super::DeadLetterStream;

const EVENTS: &str = "EVENTS";
const DEAD_LETTERS: &str = "DEAD_LETTERS";
const REJECTED: &str = "REJECTED";
const STATE: &str = "WEIR_STATE";
/// Stream names are names of folders on the server; this leaves room for what is added.
const MAX_PREFIX_BYTES: usize = 32;

/// The names of one deployment. Deployments that share a server have different prefixes (JOURNAL_PREFIX). Cheap to
/// clone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    prefix: Option<Arc<str>>,
}

impl Names {
    /// The names behind `prefix`: 1 to 32 letters, digits, `-` or `_`; such as `acme` for `acme_EVENTS`,
    /// `acme.events.facebook` and `acme-collector-facebook`.
    ///
    /// # Errors
    /// The rule that `prefix` breaks.
    pub fn behind(prefix: &str) -> Result<Self, String> {
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

    /// The stream of a graveyard.
    pub(super) fn graveyard_stream(&self, graveyard: DeadLetterStream) -> String {
        self.stream(graveyard_stream(graveyard))
    }

    /// The key-value bucket of what is noted of `EVENTS`.
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

    /// Every subject of a graveyard.
    pub(super) fn all_letters(&self, graveyard: DeadLetterStream) -> String {
        self.subject(&format!("{}.>", letters(graveyard)))
    }

    /// `dead.<source>.<hash of eventId>` or `rejected.<source or unknown>.<hash of eventId, or of the bytes>`
    pub(super) fn letter(
        &self,
        graveyard: DeadLetterStream,
        source: Option<Source>,
        identity: &[u8],
    ) -> String {
        let source = source.map_or("unknown", Source::name);
        self.subject(&format!("{}.{source}.{}", letters(graveyard), hash(identity)))
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

/// The streams without a prefix, as metrics name them.
pub(super) fn stream_label(graveyard: Option<DeadLetterStream>) -> &'static str {
    graveyard.map_or(EVENTS, graveyard_stream)
}

fn graveyard_stream(graveyard: DeadLetterStream) -> &'static str {
    match graveyard {
        DeadLetterStream::Rejected => REJECTED,
        DeadLetterStream::Parked => DEAD_LETTERS,
    }
}

/// The first part of a graveyard's subjects.
fn letters(graveyard: DeadLetterStream) -> &'static str {
    match graveyard {
        DeadLetterStream::Rejected => "rejected",
        DeadLetterStream::Parked => "dead",
    }
}

/// The first 16 bytes of the SHA-256, in hexadecimal: ids may hold what a subject may not.
fn hash(identity: &[u8]) -> String {
    hex::encode(&Sha256::digest(identity)[..16])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_are_the_wire_s() {
        let names = Names::default();
        assert_eq!(names.events(Source::Tiktok), "events.tiktok");
        assert_eq!(names.erasures(Source::Facebook), "erasures.facebook");
        assert_eq!(names.consumer(Source::Facebook), "collector-facebook");
        assert_eq!(names.events_stream(), "EVENTS");
        let parked = names.letter(DeadLetterStream::Parked, Some(Source::Facebook), b"a");
        assert_eq!(parked, "dead.facebook.ca978112ca1bbdcafac231b39a23dc4d");
        let rejected = names.letter(DeadLetterStream::Rejected, None, b"a");
        assert_eq!(rejected, "rejected.unknown.ca978112ca1bbdcafac231b39a23dc4d");
    }

    #[test]
    fn a_prefix_is_before_every_name() {
        let names = Names::behind("acme").unwrap();
        assert_eq!(names.events_stream(), "acme_EVENTS");
        assert_eq!(names.graveyard_stream(DeadLetterStream::Parked), "acme_DEAD_LETTERS");
        assert_eq!(names.state_bucket(), "acme_WEIR_STATE");
        assert_eq!(names.events(Source::Facebook), "acme.events.facebook");
        assert_eq!(names.erasures(Source::Tiktok), "acme.erasures.tiktok");
        assert_eq!(names.all_letters(DeadLetterStream::Rejected), "acme.rejected.>");
        assert_eq!(names.consumer(Source::Facebook), "acme-collector-facebook");
        for refused in ["", "a.b", "a b", "*", "é", &"x".repeat(33)] {
            assert!(Names::behind(refused).is_err(), "{refused:?}");
        }
    }
}
