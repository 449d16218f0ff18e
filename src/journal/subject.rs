//! The names of wire.md section 5.

use sha2::{Digest, Sha256};

use super::Graveyard;
use crate::event::Source;

pub(super) const EVENTS: &str = "EVENTS";
const DEAD_LETTERS: &str = "DEAD_LETTERS";
const REJECTED: &str = "REJECTED";

/// `events.facebook`
pub(super) fn events(source: Source) -> String {
    format!("events.{source}")
}

/// `collector-facebook`
pub(super) fn consumer(source: Source) -> String {
    format!("collector-{source}")
}

/// `dead.<source>.<hash of eventId>` or `rejected.<source or unknown>.<hash of eventId, or of the bytes>`
pub(super) fn letter(graveyard: Graveyard, source: Option<Source>, identity: &[u8]) -> String {
    let prefix = match graveyard {
        Graveyard::Rejected => "rejected",
        Graveyard::Parked => "dead",
    };
    format!("{prefix}.{}.{}", source.map_or("unknown", Source::name), hash(identity))
}

/// The stream of a graveyard.
pub(super) fn stream(graveyard: Graveyard) -> &'static str {
    match graveyard {
        Graveyard::Rejected => REJECTED,
        Graveyard::Parked => DEAD_LETTERS,
    }
}

/// Every subject of a graveyard.
pub(super) fn all(graveyard: Graveyard) -> &'static str {
    match graveyard {
        Graveyard::Rejected => "rejected.>",
        Graveyard::Parked => "dead.>",
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
        assert_eq!(events(Source::Tiktok), "events.tiktok");
        assert_eq!(consumer(Source::Facebook), "collector-facebook");
        let parked = letter(Graveyard::Parked, Some(Source::Facebook), b"a");
        assert_eq!(parked, "dead.facebook.ca978112ca1bbdcafac231b39a23dc4d");
        let rejected = letter(Graveyard::Rejected, None, b"a");
        assert_eq!(rejected, "rejected.unknown.ca978112ca1bbdcafac231b39a23dc4d");
    }
}
