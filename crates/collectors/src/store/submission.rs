//! A submission: a frame, the part of it that is to be stored, and the outcome.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::Range,
};

use weir_journal::{Frame, Position};

use super::row::{EventIdentity, Row, to_smallint};

/// A frame, and those of its events that are to become rows: usually all.
#[derive(Clone, Debug)]
pub struct Submission<'a> {
    frame: &'a Frame,
    position: Option<Position>,
    events: Vec<usize>,
    parked: Vec<usize>,
}

/// The outcome of a frame; `stored + duplicate + parked` is [`Frame::accepted`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameOutcome {
    /// Events that became rows.
    pub stored: u64,
    /// Events whose identity was there before, repeats in their own array included.
    pub duplicate: u64,
    /// Events that the database refuses.
    pub parked: u64,
    /// Whether an earlier delivery recorded these accounts. This one has changed nothing then.
    pub recorded_before: bool,
}

/// An event that the database refuses for good, and the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedEvent {
    /// Its index in the frame.
    pub index: usize,
    /// The database's code and message, for operators that correct dead letters.
    pub reason: String,
}

/// How a successful transaction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Commit,
    /// The transaction was a trial.
    RollBack,
}

/// Outcomes by frame id.
pub(super) type Outcomes<'a> = HashMap<&'a str, FrameOutcome>;

/// The occurrences of one identity at one place in a frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Occurrence<'a> {
    pub(super) identity: EventIdentity<'a>,
    /// The frame's number in `frame_origins`.
    pub(super) frame_number: i64,
    pub(super) times: i64,
}

/// An identity that occurred again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Duplicate<'a> {
    pub(super) identity: EventIdentity<'a>,
    pub(super) times: i64,
}

impl<'a> Submission<'a> {
    /// All events of a frame.
    #[must_use]
    pub fn whole(frame: &'a Frame) -> Self {
        Self::part(frame, 0..frame.events.len())
    }

    /// All events of a frame but the parked ones.
    #[must_use]
    pub fn without(frame: &'a Frame, parked: &BTreeSet<usize>) -> Self {
        let events = (0..frame.events.len()).filter(|index| !parked.contains(index)).collect();
        Self { frame, position: None, events, parked: parked.iter().copied().collect() }
    }

    /// Some events of a frame, for a trial: it leaves no accounts.
    pub(super) fn part(frame: &'a Frame, events: Range<usize>) -> Self {
        Self { frame, position: None, events: events.collect(), parked: Vec::new() }
    }

    /// The same submission, which also records its frame as settled at `position`.
    #[must_use]
    pub fn at(self, position: Position) -> Self {
        Self { position: Some(position), ..self }
    }

    pub(super) fn position(&self) -> Option<Position> {
        self.position
    }

    pub(super) fn frame(&self) -> &'a Frame {
        self.frame
    }

    pub(super) fn frame_id(&self) -> &'a str {
        &self.frame.id
    }

    /// The source's number in the contract and in the database.
    pub(super) fn source(&self) -> i16 {
        to_smallint(self.frame.source.number())
    }

    /// The rows to be, of a frame with this number in `frame_origins`.
    pub(super) fn rows(&self, frame_number: i64, stored_at: i64) -> impl Iterator<Item = Row<'a>> {
        let frame = self.frame;
        let row = move |index: &usize| Row::of_event(frame, frame_number, &frame.events[*index], stored_at);
        self.events.iter().map(row)
    }

    /// The identities of all events, parked ones included.
    pub(super) fn identities(&self) -> impl Iterator<Item = EventIdentity<'a>> {
        let frame = self.frame;
        let source = self.source();
        let all = self.events.iter().chain(&self.parked);
        all.map(move |index| (source, frame.events[*index].event.id()))
    }

    /// Occurrences of each event in a frame with this number: one to become a row, and one for each repeat. A parked
    /// event has its repeats alone.
    pub(super) fn occurrences(&self, frame_number: i64) -> impl Iterator<Item = Occurrence<'a>> {
        let frame = self.frame;
        let occurrence = move |index: usize, once: i64| {
            let framed = &frame.events[index];
            Occurrence {
                identity: (to_smallint(frame.source.number()), framed.event.id()),
                frame_number,
                times: once + i64::from(framed.repeats),
            }
        };
        let stored = self.events.iter().map(move |index| occurrence(*index, 1));
        stored.chain(self.parked.iter().map(move |index| occurrence(*index, 0)))
    }

    /// The outcome where `stored` events are new. Every event that is neither new nor parked is a duplicate.
    pub(super) fn outcome(&self, stored: u64) -> FrameOutcome {
        let parked = self.parked.len() as u64;
        let duplicate = self.frame.accepted().saturating_sub(stored + parked);
        FrameOutcome { stored, duplicate, parked, recorded_before: false }
    }
}

impl FrameOutcome {
    /// The accounts that the table of frames has.
    pub(super) fn recorded_before(stored: i64, duplicate: i64, parked: i64) -> Self {
        let [stored, duplicate, parked] = [stored, duplicate, parked].map(i64::unsigned_abs);
        Self { stored, duplicate, parked, recorded_before: true }
    }
}

impl Duplicate<'_> {
    /// The statement before the rows of duplicates.
    pub(super) const INSERT: &'static str = "INSERT INTO duplicates (source, event_id, times) ";
    /// The statement after them.
    pub(super) const ADD: &'static str =
        " ON CONFLICT (source, event_id) DO UPDATE SET times = duplicates.times + excluded.times";
}

/// Counts every occurrence but those that became one of the `new` rows.
///
/// Duplicates come in the order of their keys: two collectors with the same ones then wait for each other, and never in
/// a circle.
pub(super) fn duplicates<'a>(
    occurrences: impl Iterator<Item = Occurrence<'a>>,
    new: &[Row<'a>],
) -> Vec<Duplicate<'a>> {
    let mut occurrences = occurrences.filter(|occurrence| occurrence.times > 0).peekable();
    // Most batches have no duplicates.
    if occurrences.peek().is_none() {
        return Vec::new();
    }
    let mut became_rows: HashMap<EventIdentity<'a>, Option<i64>> =
        new.iter().map(|row| (row.identity(), row.frame_number)).collect();
    let mut again: BTreeMap<EventIdentity<'a>, i64> = BTreeMap::new();
    for Occurrence { identity, frame_number, times } in occurrences {
        let is_first = became_rows.get(&identity) == Some(&Some(frame_number));
        if is_first {
            became_rows.remove(&identity);
        }
        *again.entry(identity).or_default() += times - i64::from(is_first);
    }
    let duplicate = |(identity, times)| Duplicate { identity, times };
    again.into_iter().filter(|(_, times)| *times > 0).map(duplicate).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn occurrence(event_id: &'static str, frame: char, times: i64) -> Occurrence<'static> {
        Occurrence { identity: (1, event_id), frame_number: i64::from(u32::from(frame)), times }
    }

    fn row(event_id: &'static str, frame: char) -> Row<'static> {
        Row { source: 1, event_id, frame_number: Some(i64::from(u32::from(frame))), ..Row::default() }
    }

    #[test]
    fn every_occurrence_but_the_one_that_became_the_row_is_a_duplicate() {
        let occurrences = [
            occurrence("old", 'f', 1),
            occurrence("new", 'f', 1),
            occurrence("new", 'e', 1),
            occurrence("repeated", 'f', 3),
            occurrence("elsewhere", 'f', 1),
            occurrence("once", 'f', 1),
            occurrence("parked", 'f', 0),
        ];
        let new = [row("new", 'e'), row("repeated", 'f'), row("once", 'f'), row("elsewhere", 'e')];
        let duplicate = |event_id, times| Duplicate { identity: (1, event_id), times };
        let expected =
            [duplicate("elsewhere", 1), duplicate("new", 1), duplicate("old", 1), duplicate("repeated", 2)];
        assert_eq!(duplicates(occurrences.into_iter(), &new), expected);
    }

    #[test]
    fn an_identity_that_occurs_twice_in_the_frame_of_its_row_is_a_duplicate_once() {
        let occurrences = [occurrence("a", 'f', 1), occurrence("a", 'f', 1)];
        let expected = [Duplicate { identity: (1, "a"), times: 1 }];
        assert_eq!(duplicates(occurrences.into_iter(), &[row("a", 'f')]), expected);
    }
}
