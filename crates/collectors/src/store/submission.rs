//! What of a frame is to be stored: usually all of it.

use std::{collections::BTreeSet, ops::Range};

use weir_journal::{Frame, Position};

use super::{FrameOutcome, keys::Identity, occurrence::Sighting, row::Row};

/// A frame, and which of its events are to become rows.
#[derive(Clone, Debug)]
pub struct Submission<'a> {
    frame: &'a Frame,
    position: Option<Position>,
    events: Vec<usize>,
    parked: Vec<usize>,
}

impl<'a> Submission<'a> {
    /// All of it.
    #[must_use]
    pub fn whole(frame: &'a Frame) -> Self {
        Self::part(frame, 0..frame.events.len())
    }

    /// All but the events that are parked.
    #[must_use]
    pub fn without(frame: &'a Frame, parked: &BTreeSet<usize>) -> Self {
        let events = (0..frame.events.len()).filter(|index| !parked.contains(index)).collect();
        Self { frame, position: None, events, parked: parked.iter().copied().collect() }
    }

    /// For a trial, which leaves no accounts.
    pub(super) fn part(frame: &'a Frame, events: Range<usize>) -> Self {
        Self { frame, position: None, events: events.collect(), parked: Vec::new() }
    }

    /// The same, to be recorded as settled where it stands.
    #[must_use]
    pub fn at(self, position: Position) -> Self {
        Self { position: Some(position), ..self }
    }

    pub(super) fn position(&self) -> Option<Position> {
        self.position
    }

    pub(super) fn frame_id(&self) -> &'a str {
        &self.frame.id
    }

    /// The source's number in the contract and in the database.
    pub(super) fn source(&self) -> i16 {
        super::row::small(self.frame.source.number())
    }

    pub(super) fn rows(&self, stored_at: i64) -> impl Iterator<Item = Row<'a>> {
        let frame = self.frame;
        self.events.iter().map(move |index| Row::new(frame, &frame.events[*index], stored_at))
    }

    /// Of every event of it, parked or not.
    pub(super) fn identities(&self) -> impl Iterator<Item = Identity<'a>> {
        self.sightings().map(|sighting| sighting.identity)
    }

    /// How often each event stands here: once to become a row, and once for every repeat. Of a parked event only
    /// the repeats are left.
    pub(super) fn sightings(&self) -> impl Iterator<Item = Sighting<'a>> {
        let frame = self.frame;
        let sighting = move |index: usize, once: i64| {
            let framed = &frame.events[index];
            Sighting {
                identity: (super::row::small(frame.source.number()), framed.event.id()),
                frame_id: &frame.id,
                times: once + i64::from(framed.repeats),
            }
        };
        let stored = self.events.iter().map(move |index| sighting(*index, 1));
        stored.chain(self.parked.iter().map(move |index| sighting(*index, 0)))
    }

    /// What is not new and not parked was there before.
    pub(super) fn outcome(&self, stored: u64) -> FrameOutcome {
        let parked = self.parked.len() as u64;
        let duplicate = self.frame.accepted().saturating_sub(stored + parked);
        FrameOutcome { stored, duplicate, parked, recorded_before: false }
    }
}
