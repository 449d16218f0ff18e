//! The outcome of one body: the counts of accepted and rejected items, and the errors that the response names.

use std::{borrow::Cow, collections::HashMap};

use tonic::Status;
use weir::contract::ingest::v1::{ItemResult, Outcome};
use weir_event::{ErrorType, EventMetrics, ItemIdentity, Service, Source};

use super::{
    chunk::{GateCheck, SentItem},
    parsed_body::ParsedBody,
};
use crate::problem::{ItemError, Violation};

/// The most bad items that a response names, so that a sender can read it whole.
const MAX_ERRORS: usize = 100;

/// The outcome of the items that ingest has answered for so far.
#[derive(Debug, Default)]
pub(super) struct BodyOutcome {
    accepted: HashMap<Source, u64>,
    rejected: HashMap<(Option<Source>, ErrorType), u64>,
    pub(super) errors: Vec<ItemError>,
    pub(super) errors_truncated: bool,
}

impl BodyOutcome {
    /// Adds ingest's results for one chunk. Chunks are added in the order of the body, so errors have that order too.
    ///
    /// # Errors
    /// A result is impossible, so that the outcome of the chunk is unknown.
    pub(super) fn add(
        mut self,
        body: &ParsedBody,
        sent: Vec<SentItem>,
        results: Vec<ItemResult>,
    ) -> Result<Self, Status> {
        for (sent, result) in sent.into_iter().zip(results) {
            match (result.outcome(), &sent.check) {
                (Outcome::Accepted, GateCheck::Admitted { repeats, source }) => {
                    *self.accepted.entry(*source).or_default() += 1 + u64::from(*repeats);
                }
                (Outcome::Rejected, _) => self.add_rejected(body, sent, result),
                (Outcome::Accepted, GateCheck::Rejected { .. }) | (Outcome::Unspecified, _) => {
                    return Err(Status::internal("ingest returned an impossible result"));
                }
            }
        }
        Ok(self)
    }

    /// Counts a rejected item, and the later ones that repeat it: they are rejected too.
    fn add_rejected(&mut self, body: &ParsedBody, sent: SentItem, result: ItemResult) {
        let items = 1 + u64::from(sent.repeats());
        *self.rejected.entry((sent.source(), sent.error_type())).or_default() += items;
        if self.errors.len() == MAX_ERRORS {
            self.errors_truncated = true;
            return;
        }
        let SentItem { index, offset, length, check } = sent;
        let event_id = match check {
            GateCheck::Rejected { event_id, .. } => event_id,
            GateCheck::Admitted { .. } => {
                let identity = body.items.text(offset, length).and_then(ItemIdentity::read);
                identity.and_then(|identity| identity.event_id().map(Cow::into_owned))
            }
        };
        // Ingest's violations, not the edge's: a newer ingest has further rules, and it may find a wrong clock.
        let violations =
            result.violations.into_iter().map(weir_event::Violation::from).map(Violation::from).collect();
        self.errors.push(ItemError { index, event_id, violations });
    }

    pub(super) fn accepted(&self) -> u64 {
        self.accepted.values().sum()
    }

    pub(super) fn rejected(&self) -> u64 {
        self.rejected.values().sum()
    }

    /// Adds the counts to the metrics of the edge.
    pub(super) fn record_metrics(&self, metrics: &EventMetrics) {
        for (source, events) in &self.accepted {
            metrics.accepted(Service::Edge, *source, *events);
        }
        for ((source, error_type), events) in &self.rejected {
            metrics.failed(Service::Edge, *source, *error_type, *events);
        }
    }
}
