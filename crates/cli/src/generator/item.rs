//! One item of a batch. It is a pure function of the stream's seed, its number and its time, so that a reader
//! of the ledger can generate it again.

use chrono::{DateTime, Utc};
use rand::SeedableRng as _;
use uuid::Uuid;
use weir_event::Source;

use super::{
    corruption::corrupt,
    dice::Dice,
    event::{Event, prefix},
};

/// An odd factor, so that the multiplication can be undone. Ids of one stream share their first half. Their
/// second halves are spread like those of other senders, which matters to the index of a database.
const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;
/// The inverse: `SPREAD * GATHER` is 1, modulo 2^64.
const GATHER: u64 = 0xF1DE_83E1_9937_733D;
/// Another odd number than the increment of the dice's own seeding, so that the dice of neighbours have
/// nothing in common.
const DICE: u64 = 0xD134_2543_DE82_EF95;
/// The characters of an id that follow from the seed alone: `fb-0123abcd-0123-abcd`.
const SEED_CHARACTERS: usize = 18;

/// The parameters of an item's bytes, besides the seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    /// Counts the events of the stream from 0. A repeat has the number of its original.
    pub(crate) number: u64,
    /// The time at which it happened.
    pub(crate) at: DateTime<Utc>,
    pub(crate) kind: ItemKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ItemKind {
    New,
    /// A byte-for-byte copy of an earlier item.
    Repeat,
    /// Corrupted in one of the eight ways of the reference publisher.
    Corrupted,
}

impl Item {
    /// Generates the JSON of the item.
    pub(crate) fn generate(self, seed: u64) -> Vec<u8> {
        let mut dice = dice(seed, self.number);
        let event = Event::generate(&mut dice, id(seed, self.number), self.at);
        let generated = match self.kind {
            ItemKind::New | ItemKind::Repeat => serde_json::to_vec(&event),
            ItemKind::Corrupted => serde_json::to_vec(&corrupt(&event, &mut dice)),
        };
        generated.expect("an event is plain JSON")
    }

    /// The source of the item.
    pub(crate) fn source(self, seed: u64) -> Source {
        Event::source(&mut dice(seed, self.number))
    }
}

/// The prefix of all ids of a source and a seed; ids of other streams do not have it.
pub(crate) fn id_prefix(source: Source, seed: u64) -> String {
    format!("{}-{}", prefix(source), &id(seed, 0).to_string()[..SEED_CHARACTERS])
}

/// The number of the event with this id; `None` if the id is of another seed or source.
pub(crate) fn number_of(event_id: &str, source: Source, seed: u64) -> Option<u64> {
    let id = event_id.strip_prefix(prefix(source))?.strip_prefix('-')?;
    let (high, low) = Uuid::parse_str(id).ok()?.as_u64_pair();
    (high == seed).then(|| low.wrapping_mul(GATHER))
}

/// The id of a source's event with this number.
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
        Item { number, at: DateTime::UNIX_EPOCH, kind: ItemKind::New }
    }

    #[test]
    fn an_item_is_the_same_whenever_it_is_generated() {
        assert_eq!(item(5).generate(7), item(5).generate(7));
        assert_ne!(item(5).generate(7), item(6).generate(7));
        assert_ne!(item(5).generate(7), item(5).generate(8));
    }

    #[test]
    fn an_id_contains_the_number_of_its_item() {
        for (seed, number) in [(7, 0), (7, 1), (u64::MAX, 1_000_000), (0, u64::MAX - 1)] {
            let generated: Value = serde_json::from_slice(&item(number).generate(seed)).unwrap();
            let (id, source) = (generated["eventId"].as_str().unwrap(), item(number).source(seed));
            assert_eq!(generated["source"], source.name());
            assert!(id.starts_with(&id_prefix(source, seed)), "{id}");
            assert_eq!(number_of(id, source, seed), Some(number));
            assert_eq!(number_of(id, source, seed.wrapping_add(1)), None);
        }
        assert_eq!(number_of("fb-1", Source::Facebook, 7), None);
    }
}
