//! `GET /events/{source}/{eventId}`: where is my event? Put together from what ingest knows of the journal and what
//! reporting knows of the store.

mod answer;

use std::{sync::Arc, time::Duration};

use answer::Whereabouts;
use axum::{
    Extension, Json,
    extract::{Path, State, rejection::PathRejection},
};
use http::StatusCode;
use tokio::time::Instant;
use tonic::Status;
use weir::contract::{
    MAX_ANSWER_BYTES,
    ingest::v1::{self as ingest, ingest_service_client::IngestServiceClient},
    reporting::v1::{self as reporting, reporting_service_client::ReportingServiceClient},
};
use weir_event::Source;
use weir_process::CallContext;

use crate::{
    problem::{ParameterViolation, Problem, ProblemBody},
    router::EdgeState,
    upstream::Upstream,
};

/// Asks both services.
#[derive(Clone, Debug)]
pub(crate) struct Search {
    pub(crate) ingest: Upstream,
    pub(crate) reporting: Upstream,
    /// How long both questions together may take.
    pub(crate) timeout: Duration,
}

/// What makes an event the same event.
#[derive(Clone, Debug)]
struct Identity {
    source: Source,
    event_id: String,
}

/// Where is my event?
///
/// Stored, removed after its time, a dead letter, or unknown; status facts and nobody's data. An event that was accepted may still wait to
/// be stored: while waitingFrames is not 0, ask again. An event that is nowhere is only called unknown (404) where
/// both ingest and reporting could be asked; what could not be asked otherwise is named in unavailable.
#[utoipa::path(get, path = "/events/{source}/{eventId}", tag = "events", operation_id = "getEvent",
    params(
        ("source" = String, Path, description = "facebook or tiktok", example = "facebook"),
        ("eventId" = String, Path, description = "The sender's id, percent-encoded; a slash in it is %2F", example = "fb-1"),
    ),
    responses(
        (status = 200, description = "It is stored, was stored, or is a dead letter", body = Whereabouts),
        (status = 400, description = "No such source", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "It is neither of these", body = Whereabouts),
        (status = 503, description = "It was not found, and not everything could be asked: try again after Retry-After", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn get_event(
    State(edge): State<Arc<EdgeState>>,
    Extension(context): Extension<CallContext>,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<(StatusCode, Json<Whereabouts>), Problem> {
    let identity = Identity::read(path)?;
    let (journal, store) = edge.search.ask(&identity, &context).await;
    let whereabouts = Whereabouts::new(identity, journal, store)?;
    whereabouts.log();
    Ok((whereabouts.status_code(), Json(whereabouts)))
}

impl Identity {
    fn read(path: Result<Path<(String, String)>, PathRejection>) -> Result<Self, Problem> {
        let Path((source, event_id)) =
            path.map_err(|_| fault("eventId", "must be percent-encoded UTF-8".into()))?;
        let source = Source::from_name(&source).ok_or_else(|| {
            let names: Vec<&str> = Source::ALL.iter().map(|source| source.name()).collect();
            fault("source", format!("must be one of {}", names.join(", ")))
        })?;
        Ok(Self { source, event_id })
    }
}

fn fault(parameter: &str, message: String) -> Problem {
    let violation = ParameterViolation { parameter: parameter.to_owned(), message };
    Problem::bad_request("the path has a fault").violations(vec![violation])
}

impl Search {
    /// One after the other: an event that is stored between the two questions is found by the second, where the
    /// other order would find it nowhere.
    async fn ask(
        &self,
        identity: &Identity,
        context: &CallContext,
    ) -> (Result<ingest::FindEventResponse, Status>, Result<reporting::FindEventResponse, Status>) {
        let journal = self.ask_ingest(identity, context).await;
        let store = self.ask_reporting(identity, context).await;
        (journal, store)
    }

    async fn ask_ingest(
        &self,
        identity: &Identity,
        context: &CallContext,
    ) -> Result<ingest::FindEventResponse, Status> {
        let Identity { source, event_id } = identity.clone();
        let question = ingest::FindEventRequest { source: source.number(), event_id };
        let rpc = async |channel, request| {
            let client = IngestServiceClient::new(channel);
            client.max_decoding_message_size(MAX_ANSWER_BYTES).find_event(request).await
        };
        self.ingest.ask(question, context, self.half_from_now(), rpc).await
    }

    async fn ask_reporting(
        &self,
        identity: &Identity,
        context: &CallContext,
    ) -> Result<reporting::FindEventResponse, Status> {
        let Identity { source, event_id } = identity.clone();
        let question = reporting::FindEventRequest { source: source.number(), event_id };
        let rpc = async |channel, request| ReportingServiceClient::new(channel).find_event(request).await;
        self.reporting.ask(question, context, self.half_from_now(), rpc).await
    }

    /// Whichever does not answer leaves the other its time.
    fn half_from_now(&self) -> Instant {
        Instant::now() + self.timeout / 2
    }
}
