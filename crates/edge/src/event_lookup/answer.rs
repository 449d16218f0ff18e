//! The answer, from what each service says or fails to say.

use http::StatusCode;
use serde::Serialize;
use tonic::Status;
use utoipa::ToSchema;
use weir::contract::{
    ingest::v1::{self as ingest, find_event_response::Kind},
    reporting::v1 as reporting,
};
use weir_event as event;
use weir_process::Reason;

use super::Identity;
use crate::{problem::Problem, reports::rfc3339, status_to_problem, webhooks::Violation};

/// Where one event is, as far as it could be asked.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Whereabouts {
    #[schema(example = "facebook")]
    source: &'static str,
    #[schema(example = "fb-1")]
    event_id: String,
    status: EventStatus,
    /// Only where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    stored: Option<StoredEvent>,
    /// Only where it was stored and its row was removed after its time.
    #[serde(skip_serializing_if = "Option::is_none")]
    removed: Option<RemovedEvent>,
    /// The newest of each kind, also of an event that is stored; absent where ingest could not be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    dead_letters: Option<Vec<DeadLetter>>,
    /// Frames of this source that are accepted and not stored yet: an event that is unknown may be in one of them.
    /// Absent where ingest could not be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting_frames: Option<u64>,
    /// What could not be asked: ingest or reporting.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(example = json!(["reporting"]))]
    unavailable: Vec<&'static str>,
}

/// stored goes before deadLetter: an event may be refused first and mended later. So does removed: it was stored, and
/// its row was removed after its time; it still counts in reports, and a repeat of it is a duplicate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) enum EventStatus {
    Stored,
    Removed,
    DeadLetter,
    Unknown,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = StoredEvent)]
pub(crate) struct StoredEvent {
    #[schema(example = "2025-09-14T07:21:46.12Z")]
    stored_at: String,
    #[schema(example = "2025-09-14T07:21:45.318Z")]
    arrived_at: String,
    correlation_id: String,
    /// Where the call that brought it in had one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "4bf92f3577b34da6a3ce929d0e0e4736")]
    trace_id: Option<String>,
    /// How often it came again besides.
    duplicates: u64,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = RemovedEvent)]
pub(crate) struct RemovedEvent {
    #[schema(example = "2025-09-14T07:21:45.318Z")]
    arrived_at: String,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeadLetter {
    /// rejected: it breaks rules. parked: it was accepted, and the store refuses it.
    #[schema(example = "rejected")]
    kind: &'static str,
    /// When it was laid down.
    #[schema(example = "2025-09-14T07:21:45.42Z")]
    at: String,
    correlation_id: String,
    /// Every rule that it breaks, or the store's reason at pointer "".
    violations: Vec<Violation>,
}

impl Whereabouts {
    /// # Errors
    /// It was not found, and not everybody could be asked.
    pub(super) fn new(
        identity: Identity,
        journal: Result<ingest::FindEventResponse, Status>,
        store: Result<reporting::FindEventResponse, Status>,
    ) -> Result<Self, Problem> {
        let journal =
            journal.map_err(|status| status_to_problem::problem(&status, Reason::JournalUnavailable));
        let store = store.map_err(|status| status_to_problem::problem(&status, Reason::StoreUnavailable));
        let missing = [("ingest", journal.as_ref().err()), ("reporting", store.as_ref().err())];
        let missing = missing.into_iter().filter_map(|(service, problem)| Some((service, problem?)));
        let reporting::FindEventResponse { stored, removed } = store.as_ref().cloned().unwrap_or_default();
        let buried = journal.as_ref().is_ok_and(|answer| !answer.letters.is_empty());
        let status = match (&stored, &removed, buried) {
            (Some(_), _, _) => EventStatus::Stored,
            (None, Some(_), _) => EventStatus::Removed,
            (None, None, true) => EventStatus::DeadLetter,
            (None, None, false) => EventStatus::Unknown,
        };
        // It may be just where nobody could look.
        if let (EventStatus::Unknown, Some((_, problem))) = (status, missing.clone().next()) {
            return Err(problem.clone());
        }
        let unavailable: Vec<&str> = missing.map(|(service, _)| service).collect();
        let journal = journal.ok();
        Ok(Self {
            source: identity.source.name(),
            event_id: identity.event_id,
            status,
            stored: stored.map(StoredEvent::from),
            removed: removed.map(RemovedEvent::from),
            waiting_frames: journal.as_ref().map(|answer| answer.waiting_frames),
            dead_letters: journal.map(|answer| answer.letters.into_iter().map(DeadLetter::from).collect()),
            unavailable,
        })
    }

    /// What is missing is told to the caller, and to who can mend it.
    pub(super) fn log(&self) {
        if !self.unavailable.is_empty() {
            tracing::warn!(unavailable = self.unavailable.join(", "), "an event was looked for in part");
        }
    }

    pub(super) fn status_code(&self) -> StatusCode {
        match self.status {
            EventStatus::Stored | EventStatus::Removed | EventStatus::DeadLetter => StatusCode::OK,
            EventStatus::Unknown => StatusCode::NOT_FOUND,
        }
    }
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
        Self {
            kind: match letter.kind() {
                Kind::Rejected => "rejected",
                Kind::Parked => "parked",
                // Of a newer ingest.
                Kind::Unspecified => "unknown",
            },
            at: letter.buried_at.map(rfc3339).unwrap_or_default(),
            correlation_id: letter.correlation_id,
            violations: letter
                .violations
                .into_iter()
                .map(event::Violation::from)
                .map(Violation::from)
                .collect(),
        }
    }
}
