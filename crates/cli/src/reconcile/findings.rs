//! What a comparison found.

use std::collections::BTreeMap;

use weir_collectors::reconcile::{ComparedDay, Difference, Period, SourceDay};

use super::args::Task;

/// What a comparison found.
#[derive(Debug)]
pub(super) struct Findings {
    pub(super) period: Period,
    pub(super) repairs: bool,
    /// Days that were compared: those with anything in them.
    pub(super) days: u64,
    /// Since when the rows of a source are complete, by its number, where some were removed; µs since the Unix epoch.
    pub(super) complete_from: BTreeMap<i32, Option<i64>>,
    /// Some of the differences.
    pub(super) named: Vec<Difference>,
    most_named: usize,
    pub(super) found: u64,
    /// Differences that nobody can tell how to set right.
    pub(super) contradicted: u64,
    pub(super) repaired: u64,
    /// Differences that are still there.
    pub(super) left: u64,
    /// The day that was not compared any more.
    pub(super) interrupted_at: Option<i64>,
}

impl Findings {
    pub(super) fn new(task: &Task) -> Self {
        Self {
            period: task.period,
            repairs: task.repair,
            days: 0,
            complete_from: task.sources.iter().map(|source| (source.number(), None)).collect(),
            named: Vec::new(),
            most_named: task.named,
            found: 0,
            contradicted: 0,
            repaired: 0,
            left: 0,
            interrupted_at: None,
        }
    }

    /// Nothing differs any more, in all of the period.
    pub(super) fn is_clean(&self) -> bool {
        self.left == 0 && self.interrupted_at.is_none()
    }

    pub(super) fn find(&mut self, difference: Difference) {
        self.found += 1;
        self.contradicted += u64::from(!difference.is_certain());
        if self.named.len() < self.most_named {
            self.named.push(difference);
        }
    }

    /// The same, of one that was set right where that can be done.
    pub(super) fn repair(&mut self, difference: Difference) {
        self.repaired += u64::from(difference.is_certain());
        self.find(difference);
    }

    pub(super) fn note(&mut self, piece: SourceDay, compared: ComparedDay) {
        self.complete_from.insert(piece.source.number(), compared.complete_from);
    }
}
