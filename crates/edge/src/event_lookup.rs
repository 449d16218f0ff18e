//! `GET /events/{source}/{eventId}`: looks one event up in the journal, through ingest, and in the store, through
//! reporting.

use std::{sync::Arc, time::Duration};

use axum::{
    Extension, Json,
    extract::{Path, State, rejection::PathRejection},
};
use http::StatusCode;
use tokio::time::Instant;
use tonic::Status;
use weir::contract::{
    MAX_RESPONSE_BYTES,
    ingest::v1::{self as ingest, ingest_service_client::IngestServiceClient},
    reporting::v1::{self as reporting, reporting_service_client::ReportingServiceClient},
};
use weir_event::Source;
use weir_process::{CallContext, Reason};

use crate::{
    answers::{DeadLetter, EventLookupAnswer, EventStatus},
    problem::{ParameterViolation, Problem, ProblemBody},
    status_to_problem::status_to_problem,
    upstream::Upstream,
};

/// Looks events up in both services. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct EventLookup {
    ingest: Upstream,
    reporting: Upstream,
    /// The longest time that both calls together may take.
    timeout: Duration,
}

/// The identity of an event.
#[derive(Clone, Debug)]
struct EventIdentity {
    source: Source,
    event_id: String,
}

/// The responses of both services.
struct Responses {
    journal: Result<ingest::FindEventResponse, Status>,
    store: Result<reporting::FindEventResponse, Status>,
}

/// The status of one event
///
/// Stored, removed after its time, a dead letter, or unknown. The answer has status facts and no personal data. An
/// accepted event may still wait to be stored: while waitingFrames is not 0, ask again. The answer is unknown (404)
/// only where both ingest and reporting could be asked. In every other answer, unavailable names the service that
/// could not be asked.
#[utoipa::path(get, path = "/events/{source}/{eventId}", tag = "events", operation_id = "getEvent",
    params(
        ("source" = String, Path, description = "facebook or tiktok", example = "facebook"),
        ("eventId" = String, Path, description = "The sender's id, percent-encoded; a slash in it is %2F", example = "fb-1"),
    ),
    responses(
        (status = 200, description = "The event is stored, was stored, or is a dead letter", body = EventLookupAnswer),
        (status = 400, description = "No such source", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "The event is neither of these", body = EventLookupAnswer),
        (status = 503, description = "The event was not found, and a service could not be asked: try again after Retry-After", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn get_event(
    State(lookup): State<Arc<EventLookup>>,
    Extension(context): Extension<CallContext>,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<(StatusCode, Json<EventLookupAnswer>), Problem> {
    let identity = EventIdentity::parse(path)?;
    let responses = lookup.find(&identity, &context).await;
    let answer = answer(identity, responses)?;
    if !answer.unavailable.is_empty() {
        let unavailable = answer.unavailable.join(", ");
        tracing::warn!(unavailable, "an event was looked up without one of the services");
    }
    let status_code = match answer.status {
        EventStatus::Stored | EventStatus::Removed | EventStatus::DeadLetter => StatusCode::OK,
        EventStatus::Unknown => StatusCode::NOT_FOUND,
    };
    Ok((status_code, Json(answer)))
}

impl EventIdentity {
    fn parse(path: Result<Path<(String, String)>, PathRejection>) -> Result<Self, Problem> {
        let Path((source, event_id)) =
            path.map_err(|_| invalid("eventId", "must be percent-encoded UTF-8".into()))?;
        let source = Source::from_name(&source).ok_or_else(|| {
            let names: Vec<&str> = Source::ALL.iter().map(|source| source.name()).collect();
            invalid("source", format!("must be one of {}", names.join(", ")))
        })?;
        Ok(Self { source, event_id })
    }
}

fn invalid(parameter: &str, message: String) -> Problem {
    let violation = ParameterViolation { parameter: parameter.to_owned(), message };
    Problem::bad_request("the path is invalid").violations(vec![violation])
}

impl EventLookup {
    pub(crate) fn new(ingest: Upstream, reporting: Upstream, timeout: Duration) -> Self {
        Self { ingest, reporting, timeout }
    }

    /// Asks ingest first. An event that is stored between the two calls is then found by the second one; in the other
    /// order neither would find it.
    async fn find(&self, identity: &EventIdentity, context: &CallContext) -> Responses {
        let journal = self.find_in_journal(identity, context).await;
        let store = self.find_in_store(identity, context).await;
        Responses { journal, store }
    }

    async fn find_in_journal(
        &self,
        identity: &EventIdentity,
        context: &CallContext,
    ) -> Result<ingest::FindEventResponse, Status> {
        let EventIdentity { source, event_id } = identity.clone();
        let request = ingest::FindEventRequest { source: source.number(), event_id };
        let rpc = async |channel, request| {
            let client = IngestServiceClient::new(channel);
            client.max_decoding_message_size(MAX_RESPONSE_BYTES).find_event(request).await
        };
        self.ingest.query(request, context, self.deadline(), rpc).await
    }

    async fn find_in_store(
        &self,
        identity: &EventIdentity,
        context: &CallContext,
    ) -> Result<reporting::FindEventResponse, Status> {
        let EventIdentity { source, event_id } = identity.clone();
        let request = reporting::FindEventRequest { source: source.number(), event_id };
        let rpc = async |channel, request| ReportingServiceClient::new(channel).find_event(request).await;
        self.reporting.query(request, context, self.deadline(), rpc).await
    }

    /// Each call has half of the time, so that a silent service leaves the other one its half.
    fn deadline(&self) -> Instant {
        Instant::now() + self.timeout / 2
    }
}

/// Combines the responses.
///
/// # Errors
/// The event was not found, and a service could not be asked. The event may be there, so it must not be called unknown.
fn answer(identity: EventIdentity, responses: Responses) -> Result<EventLookupAnswer, Problem> {
    let Responses { journal, store } = responses;
    let journal = journal.map_err(|status| status_to_problem(&status, Reason::JournalUnavailable));
    let store = store.map_err(|status| status_to_problem(&status, Reason::StoreUnavailable));
    let failures = [("ingest", journal.as_ref().err()), ("reporting", store.as_ref().err())];
    let failures = failures.into_iter().filter_map(|(service, problem)| Some((service, problem?)));
    let reporting::FindEventResponse { stored, removed } = store.as_ref().cloned().unwrap_or_default();
    let is_dead_letter = journal.as_ref().is_ok_and(|response| !response.letters.is_empty());
    let status = match (&stored, &removed, is_dead_letter) {
        (Some(_), _, _) => EventStatus::Stored,
        (None, Some(_), _) => EventStatus::Removed,
        (None, None, true) => EventStatus::DeadLetter,
        (None, None, false) => EventStatus::Unknown,
    };
    if let (EventStatus::Unknown, Some((_, problem))) = (status, failures.clone().next()) {
        return Err(problem.clone());
    }
    let unavailable = failures.map(|(service, _)| service.to_owned()).collect();
    let journal = journal.ok();
    Ok(EventLookupAnswer {
        source: identity.source.name().to_owned(),
        event_id: identity.event_id,
        status,
        stored: stored.map(Into::into),
        removed: removed.map(Into::into),
        waiting_frames: journal.as_ref().map(|response| response.waiting_frames),
        dead_letters: journal.map(|response| response.letters.into_iter().map(DeadLetter::from).collect()),
        unavailable,
    })
}
