//! The answer of the event lookup: the status of one event, from the store and the journal.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use weir::contract::{
    ingest::v1::{self as ingest, find_event_response::Kind},
    reporting::v1 as reporting,
};

use super::values::rfc3339;
use crate::problem::Violation;

/// The status of one event, from the services that could be asked.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Whereabouts)]
pub struct EventLookupAnswer {
    #[schema(example = "facebook")]
    pub source: String,
    #[schema(example = "fb-1")]
    pub event_id: String,
    pub status: EventStatus,
    /// Present where the event is stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stored: Option<StoredEvent>,
    /// Present where the event was stored and its row was removed after its time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub removed: Option<RemovedEvent>,
    /// The newest of each kind, also of a stored event; absent where ingest could not be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dead_letters: Option<Vec<DeadLetter>>,
    /// Frames of this source that are accepted and not stored yet: an unknown event may be in one of them. Absent where
    /// ingest could not be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting_frames: Option<u64>,
    /// The services that could not be asked: ingest or reporting.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(example = json!(["reporting"]))]
    pub unavailable: Vec<String>,
}

/// stored takes precedence over deadLetter: an event may be rejected first and repaired later. removed does so too:
/// the event was stored and its row was removed after its time. It still counts in reports, and a repeat of it is a
/// duplicate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum EventStatus {
    Stored,
    Removed,
    DeadLetter,
    Unknown,
}

/// An event that is stored.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = StoredEvent)]
pub struct StoredEvent {
    #[schema(example = "2025-09-14T07:21:46.12Z")]
    pub stored_at: String,
    #[schema(example = "2025-09-14T07:21:45.318Z")]
    pub arrived_at: String,
    pub correlation_id: String,
    /// Present where the request that brought the event had a trace.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "4bf92f3577b34da6a3ce929d0e0e4736")]
    pub trace_id: Option<String>,
    /// The number of times that the event arrived again.
    pub duplicates: u64,
}

/// An event whose row was removed after its time.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = RemovedEvent)]
pub struct RemovedEvent {
    #[schema(example = "2025-09-14T07:21:45.318Z")]
    pub arrived_at: String,
}

/// A dead letter of an event.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetter {
    /// rejected: the event breaks rules. parked: it was accepted, and the store refuses it.
    #[schema(example = "rejected")]
    pub kind: String,
    /// The time at which the dead letter was written.
    #[schema(example = "2025-09-14T07:21:45.42Z")]
    pub at: String,
    pub correlation_id: String,
    /// Every rule that the event breaks, or the store's reason at pointer "".
    pub violations: Vec<Violation>,
}

impl From<reporting::StoredEvent> for StoredEvent {
    fn from(event: reporting::StoredEvent) -> Self {
        Self {
            stored_at: event.stored_at.map(rfc3339).unwrap_or_default(),
            arrived_at: event.arrived_at.map(rfc3339).unwrap_or_default(),
            correlation_id: event.correlation_id,
            trace_id: Some(event.trace_id).filter(|id| !id.is_empty()),
            duplicates: event.duplicates,
        }
    }
}

impl From<reporting::RemovedEvent> for RemovedEvent {
    fn from(event: reporting::RemovedEvent) -> Self {
        Self { arrived_at: event.arrived_at.map(rfc3339).unwrap_or_default() }
    }
}

impl From<ingest::find_event_response::Letter> for DeadLetter {
    fn from(letter: ingest::find_event_response::Letter) -> Self {
        let kind = match letter.kind() {
            Kind::Rejected => "rejected",
            Kind::Parked => "parked",
            // A kind of a newer ingest.
            Kind::Unspecified => "unknown",
        };
        let violations = letter.violations.into_iter().map(weir_event::Violation::from);
        Self {
            kind: kind.to_owned(),
            at: letter.buried_at.map(rfc3339).unwrap_or_default(),
            correlation_id: letter.correlation_id,
            violations: violations.map(Violation::from).collect(),
        }
    }
}
