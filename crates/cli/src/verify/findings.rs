//! What a comparison found.

use std::fmt;

use crate::output::{grouped, table};

/// How many examples of a fault are named.
const EXAMPLES: usize = 10;

/// One kind of fault.
#[derive(Debug, Default)]
pub(super) struct Fault {
    pub(super) count: u64,
    examples: Vec<String>,
}

/// What a comparison found.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// Events that were answered yes.
    pub(super) accepted: u64,
    /// Items that were answered no, one by one.
    pub(super) rejected: u64,
    /// Events of requests without a clear answer: stored or not, both are right.
    pub(super) unanswered: u64,
    /// Events with a row, or with the key of one that was removed.
    pub(super) stored: u64,
    /// Events among them whose person was erased.
    pub(super) anonymous: u64,
    /// Events and items of persons who were erased, whose dead letters were removed.
    pub(super) erased: u64,
    /// Those with a key.
    pub(super) removed: u64,
    /// Dead letters of accepted events.
    pub(super) parked: u64,
    /// Frames that collectors have not acknowledged.
    waiting: u64,
    /// Answered yes and neither stored nor a dead letter; or answered no and no dead letter.
    pub(super) missing: Fault,
    /// Stored, or parked, and never sent or answered no.
    pub(super) spurious: Fault,
    /// Stored and parked, or parked more often than it was sent.
    pub(super) double: Fault,
    /// Stored otherwise than it was sent.
    pub(super) altered: Fault,
}

impl Fault {
    pub(super) fn add(&mut self, example: impl FnOnce() -> String) {
        self.count += 1;
        if self.examples.len() < EXAMPLES {
            self.examples.push(example());
        }
    }
}

impl Findings {
    pub(super) fn new(waiting: u64) -> Self {
        Self { waiting, ..Self::default() }
    }

    /// Nothing is missing, spurious, double, altered or still on its way.
    pub(super) fn is_clean(&self) -> bool {
        self.waiting == 0 && self.faults().iter().all(|(_, fault)| fault.count == 0)
    }

    fn faults(&self) -> [(&'static str, &Fault); 4] {
        [
            ("missing", &self.missing),
            ("spurious", &self.spurious),
            ("double", &self.double),
            ("altered", &self.altered),
        ]
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = [
            ("accepted", self.accepted),
            ("rejected", self.rejected),
            ("without an answer", self.unanswered),
            ("stored", self.stored),
            ("stored without their person", self.anonymous),
            ("rows removed since", self.removed),
            ("parked", self.parked),
            ("removed with their person", self.erased),
        ];
        let faults = self.faults().map(|(name, fault)| (name, fault.count));
        let rows = counts.into_iter().chain(faults).map(|(name, count)| [name.to_owned(), grouped(count)]);
        write!(formatter, "{}", table(["verified", ""], 1, rows))?;
        if self.waiting > 0 {
            write!(formatter, "\n{} frames still wait in the journal", grouped(self.waiting))?;
        }
        for (name, fault) in self.faults() {
            fault.examples.iter().try_for_each(|example| write!(formatter, "\n{name}: {example}"))?;
        }
        Ok(())
    }
}
