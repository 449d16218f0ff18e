//! The findings of a comparison.

use std::collections::BTreeMap;

use weir_collectors::reconcile::{ComparedDay, Difference, Period, SourceDay};

use super::args::ReconcileOptions;

/// The findings of a comparison.
#[derive(Debug)]
pub(super) struct ReconcileFindings {
    pub(super) period: Period,
    pub(super) repairs: bool,
    /// The number of compared days; empty days are skipped.
    pub(super) days: u64,
    /// The time since which the rows of a source are complete, by its number, if some were removed; µs since
    /// the Unix epoch.
    pub(super) complete_from: BTreeMap<i32, Option<i64>>,
    /// The first differences, up to the limit.
    pub(super) shown: Vec<Difference>,
    max_shown: usize,
    pub(super) found: u64,
    /// Differences that can't be corrected, because the evidence contradicts itself.
    pub(super) contradicted: u64,
    pub(super) repaired: u64,
    /// Differences that remain.
    pub(super) left: u64,
    /// The first day that was not compared, after an interrupt.
    pub(super) interrupted_at: Option<i64>,
}

impl ReconcileFindings {
    pub(super) fn new(options: &ReconcileOptions) -> Self {
        Self {
            period: options.period,
            repairs: options.repair,
            days: 0,
            complete_from: options.sources.iter().map(|source| (source.number(), None)).collect(),
            shown: Vec::new(),
            max_shown: options.shown,
            found: 0,
            contradicted: 0,
            repaired: 0,
            left: 0,
            interrupted_at: None,
        }
    }

    /// Returns true if no difference remains, in the whole period.
    pub(super) fn is_clean(&self) -> bool {
        self.left == 0 && self.interrupted_at.is_none()
    }

    pub(super) fn find(&mut self, difference: Difference) {
        self.found += 1;
        self.contradicted += u64::from(!difference.is_certain());
        if self.shown.len() < self.max_shown {
            self.shown.push(difference);
        }
    }

    /// Counts a difference that was corrected, if that is possible.
    pub(super) fn repair(&mut self, difference: Difference) {
        self.repaired += u64::from(difference.is_certain());
        self.find(difference);
    }

    pub(super) fn note(&mut self, piece: SourceDay, compared: ComparedDay) {
        self.complete_from.insert(piece.source.number(), compared.complete_from);
    }
}
