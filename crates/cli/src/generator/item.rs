//! One item of a batch: a pure function of the stream's seed, its own number and its moment, so that whoever has
//! the ledger can mint it again.

use chrono::{DateTime, Utc};
use rand::SeedableRng as _;
use uuid::Uuid;
use weir_event::Source;

use super::{
    corruption::corrupt,
    dice::Dice,
    event::{Event, prefix},
};

/// Odd, so that multiplying by it can be undone: ids of one stream share their first half, and their second halves
/// are spread as those of other senders are, which the index of a database feels.
const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;
/// `SPREAD * GATHER` is 1, modulo 2^64.
const GATHER: u64 = 0xF1DE_83E1_9937_733D;
/// Another odd number than the one that the dice's own seeding counts by: dice of neighbours shall have nothing in
/// common.
const DICE: u64 = 0xD134_2543_DE82_EF95;
/// As many characters of an id follow from the seed alone: `fb-0123abcd-0123-abcd`.
const SEED_CHARACTERS: usize = 18;

/// What an item's bytes follow from, beside the seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    /// Counts the events of the stream from 0; a repeat has the number of what it repeats.
    pub(crate) number: u64,
    /// When it happened.
    pub(crate) at: DateTime<Utc>,
    pub(crate) kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    New,
    /// Byte for byte what an earlier item was.
    Repeat,
    /// Spoilt in one of the eight ways of the reference publisher.
    Corrupted,
}

impl Item {
    /// The item's JSON.
    pub(crate) fn mint(self, seed: u64) -> Vec<u8> {
        let mut dice = dice(seed, self.number);
        let event = Event::invent(&mut dice, id(seed, self.number), self.at);
        let minted = match self.kind {
            Kind::New | Kind::Repeat => serde_json::to_vec(&event),
            Kind::Corrupted => serde_json::to_vec(&corrupt(&event, &mut dice)),
        };
        minted.expect("an event is plain JSON")
    }

    /// The platform that it comes from.
    pub(crate) fn source(self, seed: u64) -> Source {
        Event::source(&mut dice(seed, self.number))
    }
}

/// How the ids of a source begin that are of this seed: no other stream's do.
pub(crate) fn id_prefix(source: Source, seed: u64) -> String {
    format!("{}-{}", prefix(source), &id(seed, 0).to_string()[..SEED_CHARACTERS])
}

/// The number of the event that `event_id` is of, where it is an id of this seed and source.
pub(crate) fn number_of(event_id: &str, source: Source, seed: u64) -> Option<u64> {
    let id = event_id.strip_prefix(prefix(source))?.strip_prefix('-')?;
    let (high, low) = Uuid::parse_str(id).ok()?.as_u64_pair();
    (high == seed).then(|| low.wrapping_mul(GATHER))
}

/// The id of the event of a source that has this number.
pub(crate) fn event_id(source: Source, seed: u64, number: u64) -> String {
    format!("{}-{}", prefix(source), id(seed, number))
}

fn id(seed: u64, number: u64) -> Uuid {
    Uuid::from_u64_pair(seed, number.wrapping_mul(SPREAD))
}

fn dice(seed: u64, number: u64) -> Dice {
    Dice::seed_from_u64(seed ^ (number + 1).wrapping_mul(DICE))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn item(number: u64) -> Item {
        Item { number, at: DateTime::UNIX_EPOCH, kind: Kind::New }
    }

    #[test]
    fn an_item_is_the_same_whenever_it_is_minted() {
        assert_eq!(item(5).mint(7), item(5).mint(7));
        assert_ne!(item(5).mint(7), item(6).mint(7));
        assert_ne!(item(5).mint(7), item(5).mint(8));
    }

    #[test]
    fn an_id_tells_the_number_that_it_was_minted_from() {
        for (seed, number) in [(7, 0), (7, 1), (u64::MAX, 1_000_000), (0, u64::MAX - 1)] {
            let minted: Value = serde_json::from_slice(&item(number).mint(seed)).unwrap();
            let (id, source) = (minted["eventId"].as_str().unwrap(), item(number).source(seed));
            assert_eq!(minted["source"], source.name());
            assert!(id.starts_with(&id_prefix(source, seed)), "{id}");
            assert_eq!(number_of(id, source, seed), Some(number));
            assert_eq!(number_of(id, source, seed.wrapping_add(1)), None);
        }
        assert_eq!(number_of("fb-1", Source::Facebook, 7), None);
    }
}
