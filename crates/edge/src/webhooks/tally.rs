//! The outcome of the items of one body, and its telling.

use std::{borrow::Cow, collections::HashMap};

use serde::Serialize;
use tonic::Status;
use utoipa::ToSchema;
use weir::contract::ingest::v1::{ItemResult, Outcome};
use weir_event::{ErrorType, ItemIdentity, Metrics, Service, Source};

use super::{
    batch::Batch,
    chunk::{Sent, Verdict},
};

/// The most bad items that an answer names: a sender reads all of it.
pub(super) const MAX_ERRORS: usize = 100;

/// A bad item, as the answer names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ItemError {
    /// Its place in the body, from 0.
    index: u64,
    /// Where it has one that is a string; of one with over 1,028 bytes the beginning.
    #[serde(skip_serializing_if = "Option::is_none")]
    event_id: Option<String>,
    violations: Vec<Violation>,
}

/// One rule that an item breaks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Violation {
    /// RFC 6901 pointer into the item; "" is the item itself.
    #[schema(example = "/timestamp")]
    pointer: String,
    #[schema(example = "must be an RFC 3339 date-time")]
    message: String,
}

/// What became of the items so far.
#[derive(Debug, Default)]
pub(super) struct Tally {
    accepted: HashMap<Source, u64>,
    rejected: HashMap<(Option<Source>, ErrorType), u64>,
    pub(super) errors: Vec<ItemError>,
    pub(super) errors_truncated: bool,
}

impl Tally {
    /// Counts what ingest answered for one chunk. Chunks come in the order of the body, and so do the errors.
    ///
    /// # Errors
    /// The answer is none: what became of the chunk is unknown.
    pub(super) fn count(
        mut self,
        batch: &Batch,
        sent: Vec<Sent>,
        results: Vec<ItemResult>,
    ) -> Result<Self, Status> {
        for (sent, result) in sent.into_iter().zip(results) {
            match (result.outcome(), &sent.verdict) {
                (Outcome::Accepted, Verdict::Admitted { repeats, source }) => {
                    *self.accepted.entry(*source).or_default() += 1 + u64::from(*repeats);
                }
                (Outcome::Rejected, _) => self.reject(batch, sent, result),
                (Outcome::Accepted, Verdict::Refused { .. }) | (Outcome::Unspecified, _) => {
                    return Err(Status::internal("ingest answered what can't be"));
                }
            }
        }
        Ok(self)
    }

    /// A further item that repeats a rejected one is as bad.
    fn reject(&mut self, batch: &Batch, sent: Sent, result: ItemResult) {
        let items = 1 + u64::from(sent.repeats());
        *self.rejected.entry((sent.source(), sent.error_type())).or_default() += items;
        if self.errors.len() == MAX_ERRORS {
            self.errors_truncated = true;
            return;
        }
        let Sent { index, offset, length, verdict } = sent;
        let event_id = match verdict {
            Verdict::Refused { event_id, .. } => event_id,
            Verdict::Admitted { .. } => {
                let claim = batch.text(offset, length).and_then(ItemIdentity::read);
                claim.and_then(|claim| claim.event_id().map(Cow::into_owned))
            }
        };
        // As ingest laid them down: it may know a rule that this edge does not know yet, and whether a clock is at fault.
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

    /// Counts it for the whole edge.
    pub(super) fn publish(&self, metrics: &Metrics) {
        for (source, events) in &self.accepted {
            metrics.accepted(Service::Edge, *source, *events);
        }
        for ((source, error_type), events) in &self.rejected {
            metrics.failed(Service::Edge, *source, *error_type, *events);
        }
    }
}

impl From<weir_event::Violation> for Violation {
    fn from(violation: weir_event::Violation) -> Self {
        Self { pointer: violation.pointer.into_owned(), message: violation.message }
    }
}
