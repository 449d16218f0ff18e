//! The findings of a comparison.

use crate::output::{Page, grouped, table};

/// The largest number of examples of one fault.
const EXAMPLES: usize = 10;

/// One kind of fault: its count, and examples.
#[derive(Debug, Default)]
pub(super) struct Fault {
    pub(super) count: u64,
    examples: Vec<String>,
}

/// The findings of a comparison.
#[derive(Debug, Default)]
pub(super) struct VerifyFindings {
    /// Events that an answer accepted.
    pub(super) accepted: u64,
    /// Items that an answer rejected, one by one.
    pub(super) rejected: u64,
    /// Events of requests without a clear answer. They may be stored or not.
    pub(super) unanswered: u64,
    /// Events with a row, or with the key of a removed row.
    pub(super) stored: u64,
    /// Events among them whose person was erased.
    pub(super) anonymous: u64,
    /// Events and items of erased persons whose dead letters were removed.
    pub(super) erased: u64,
    /// Events among them with a key only.
    pub(super) removed: u64,
    /// Dead letters of accepted events.
    pub(super) parked: u64,
    /// Frames that collectors have not acknowledged.
    waiting: u64,
    /// Accepted, and neither stored nor a dead letter; or rejected, and no dead letter.
    pub(super) missing: Fault,
    /// Stored or parked, but never sent, or rejected.
    pub(super) spurious: Fault,
    /// Stored and parked, or parked more often than sent.
    pub(super) double: Fault,
    /// Stored with another value than it was sent with.
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

impl VerifyFindings {
    pub(super) fn new(waiting: u64) -> Self {
        Self { waiting, ..Self::default() }
    }

    /// Returns true if nothing is missing, spurious, double, altered or still waiting.
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

    /// The figures, what still waits, and examples of each fault.
    pub(super) fn page(&self) -> Page {
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
        let mut page = Page::from(&table(["verified", ""], 1, rows));
        if self.waiting > 0 {
            page.line(format_args!("{} frames still wait in the journal", grouped(self.waiting)));
        }
        for (name, fault) in self.faults() {
            fault.examples.iter().for_each(|example| page.line(format_args!("{name}: {example}")));
        }
        page
    }
}
