//! The stream of batches: a pure function of the mix, the seed and the clock.

use chrono::{DateTime, TimeDelta, Utc};
use rand::{RngExt as _, SeedableRng as _};
use serde::{Deserialize, Serialize};

use super::{
    dice::Dice,
    item::{Item, ItemKind},
};

/// The time between two events of a batch: the 50,000 events of the largest batch span a second.
const SPACING: TimeDelta = TimeDelta::microseconds(20);
/// The delay of a late event, in minutes: an hour to a week.
const LATE_MINUTES: std::ops::RangeInclusive<i64> = 60..=7 * 24 * 60;
/// The number of events that are kept for repeats.
const MAX_REMEMBERED: usize = 1_000;

/// The composition of a stream; the shares are 0 to 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Mix {
    /// The smallest and the largest batch, in events.
    pub(crate) sizes: std::ops::RangeInclusive<usize>,
    /// The share of batches with one more event, a corrupted one.
    pub(crate) corrupt: f64,
    /// The share of events that repeat an earlier one, byte for byte.
    pub(crate) duplicates: f64,
    /// The share of events that happened an hour to a week ago.
    pub(crate) late: f64,
}

/// The items of one request.
#[derive(Clone, Debug)]
pub(crate) struct GeneratedBatch {
    pub(crate) items: Vec<Item>,
    seed: u64,
}

/// An endless stream of batches.
#[derive(Debug)]
pub(crate) struct EventStream {
    dice: Dice,
    mix: Mix,
    seed: u64,
    next_number: u64,
    memory: Vec<Item>,
}

impl EventStream {
    pub(crate) fn new(mix: Mix, seed: u64) -> Self {
        Self { dice: Dice::seed_from_u64(seed), mix, seed, next_number: 0, memory: Vec::new() }
    }

    /// The next batch, whose events happened until `now`.
    pub(crate) fn next_batch(&mut self, now: DateTime<Utc>) -> GeneratedBatch {
        let size = self.dice.random_range(self.mix.sizes.clone());
        let mut at = now - SPACING * i32::try_from(size).unwrap_or(i32::MAX);
        let mut items = Vec::with_capacity(size + 1);
        for _ in 0..size {
            at += SPACING;
            items.push(self.next_item(at));
        }
        if self.dice.random_bool(self.mix.corrupt) {
            items.push(self.new_item(now, ItemKind::Corrupted));
        }
        GeneratedBatch { items, seed: self.seed }
    }

    fn next_item(&mut self, at: DateTime<Utc>) -> Item {
        if !self.memory.is_empty() && self.dice.random_bool(self.mix.duplicates) {
            let repeated = self.memory[self.dice.random_range(0..self.memory.len())];
            return Item { kind: ItemKind::Repeat, ..repeated };
        }
        let late = self.dice.random_bool(self.mix.late);
        let delay = if late { self.dice.random_range(LATE_MINUTES) } else { 0 };
        let item = self.new_item(at - TimeDelta::minutes(delay), ItemKind::New);
        if self.mix.duplicates > 0.0 {
            self.remember(item);
        }
        item
    }

    fn new_item(&mut self, at: DateTime<Utc>, kind: ItemKind) -> Item {
        let number = self.next_number;
        self.next_number += 1;
        Item { number, at, kind }
    }

    /// Replaces a kept item at random, so that repeats are young and old.
    fn remember(&mut self, item: Item) {
        if self.memory.len() < MAX_REMEMBERED {
            self.memory.push(item);
        } else {
            let forgotten = self.dice.random_range(0..MAX_REMEMBERED);
            self.memory[forgotten] = item;
        }
    }
}

impl GeneratedBatch {
    /// The number of items.
    pub(crate) fn events(&self) -> u64 {
        self.items.len() as u64
    }

    /// The number of items that repeat an earlier one.
    pub(crate) fn duplicates(&self) -> u64 {
        self.items.iter().filter(|item| item.kind == ItemKind::Repeat).count() as u64
    }

    /// The body of the request: a JSON array.
    pub(crate) fn body(&self) -> Vec<u8> {
        let mut body = vec![b'['];
        for (index, item) in self.items.iter().enumerate() {
            if index > 0 {
                body.push(b',');
            }
            body.extend(item.generate(self.seed));
        }
        body.push(b']');
        body
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use serde_json::Value;
    use weir_event::admit_json;

    use super::*;

    fn stream(sizes: std::ops::RangeInclusive<usize>, [corrupt, duplicates, late]: [f64; 3]) -> EventStream {
        EventStream::new(Mix { sizes, corrupt, duplicates, late }, 7)
    }

    fn items(batch: &GeneratedBatch) -> Vec<Value> {
        serde_json::from_slice(&batch.body()).expect("a batch is a JSON array")
    }

    #[test]
    fn the_same_seed_makes_the_same_stream() {
        let now = Utc::now();
        let bodies = || {
            let mut stream = stream(10..=50, [0.5, 0.1, 0.1]);
            [(); 3].map(|()| stream.next_batch(now).body())
        };
        assert_eq!(bodies(), bodies());
    }

    #[test]
    fn a_corrupted_event_is_appended_at_the_end() {
        let batch = stream(100..=100, [1.0, 0.0, 0.0]).next_batch(Utc::now());
        let items = items(&batch);
        assert_eq!((items.len(), batch.events()), (101, 101));
        let good = items[..100].iter().filter(|item| admit_json(&item.to_string(), Utc::now()).is_ok());
        assert_eq!(good.count(), 100);
    }

    #[test]
    fn duplicates_repeat_an_earlier_event() {
        let batch = stream(2_000..=2_000, [0.0, 0.2, 0.0]).next_batch(Utc::now());
        let items = items(&batch);
        let identities: HashSet<&str> = items.iter().filter_map(|item| item["eventId"].as_str()).collect();
        assert_eq!(identities.len() as u64, 2_000 - batch.duplicates());
        assert!((300..500).contains(&batch.duplicates()), "{} duplicates", batch.duplicates());
    }

    #[test]
    fn timestamps_ascend_except_for_late_events() {
        let timestamps = |batch: &GeneratedBatch| -> Vec<String> {
            items(batch)
                .iter()
                .map(|item| item["timestamp"].as_str().unwrap_or_default().to_owned())
                .collect()
        };
        let now = Utc::now();
        assert!(timestamps(&stream(500..=500, [0.0; 3]).next_batch(now)).is_sorted());
        let late = timestamps(&stream(500..=500, [0.0, 0.0, 1.0]).next_batch(now));
        let an_hour_ago = (now - TimeDelta::minutes(59)).to_rfc3339();
        assert!(late.iter().all(|timestamp| *timestamp < an_hour_ago));
    }

    #[test]
    fn an_empty_batch_is_an_empty_array() {
        assert_eq!(stream(0..=0, [0.0; 3]).next_batch(Utc::now()).body(), b"[]");
    }
}
