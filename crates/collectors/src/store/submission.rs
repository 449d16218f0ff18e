//! What of a frame is to be stored: usually all of it.

use std::{collections::BTreeSet, ops::Range};

use weir::journal::Frame;

use super::{FrameOutcome, row::Row};

/// A frame, and which of its events are to become rows.
#[derive(Clone, Debug)]
pub struct Submission<'a> {
    frame: &'a Frame,
    events: Vec<usize>,
    parked: u64,
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
        Self { frame, events, parked: parked.len() as u64 }
    }

    /// For a trial, which leaves no accounts.
    pub(super) fn part(frame: &'a Frame, events: Range<usize>) -> Self {
        Self { frame, events: events.collect(), parked: 0 }
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

    /// What is not new and not parked was there before.
    pub(super) fn outcome(&self, stored: u64) -> FrameOutcome {
        let duplicate = self.frame.accepted().saturating_sub(stored + self.parked);
        FrameOutcome { stored, duplicate, parked: self.parked, recorded_before: false }
    }
}
