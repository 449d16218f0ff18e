//! `POST /events`: reads a body, checks its items, has ingest make them durable, and responds with the outcome.

mod body;
mod chunk;
mod coalesce;
mod dedup;
mod items;
mod outcome;
mod parsed_body;
mod publish;

use std::{net::IpAddr, sync::Arc, time::Duration};

use axum::{
    Extension, Json,
    body::Body,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
};
use chrono::Utc;
use http::{HeaderMap, StatusCode};
use prometheus_client::registry::Registry;
use serde::Serialize;
use tokio::time::Instant;
use tonic::Status;
use utoipa::ToSchema;
use weir_event::{ErrorType, EventMetrics, Service};
use weir_process::{CallContext, Reason, connections::Peer};

use self::{
    body::{BodyError, BodyReader, Encoding},
    coalesce::Coalescer,
    items::BodyFormat,
    outcome::BodyOutcome,
    parsed_body::{ParseError, ParsedBody, run_off_thread},
    publish::publish_chunks,
};
use crate::{
    args::EdgeConfig,
    openapi,
    problem::{ItemError, Problem, ProblemBody},
    status_to_problem::{status_to_problem, status_to_reason},
    trusted_proxies::TrustedProxies,
    upstream::Upstream,
};

/// The outcome of a body, of which at least one item is accepted.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Accepted {
    /// Items that are durable in the journal, repeated ones included.
    #[schema(example = 25311)]
    accepted: u64,
    /// Items that are durable as dead letters.
    #[schema(example = 1)]
    rejected: u64,
    /// Also in the header x-correlation-id.
    correlation_id: String,
    /// The bad items in the order of the body, at most 100.
    errors: Vec<ItemError>,
    /// There are more bad items than `errors` names.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    errors_truncated: bool,
}

/// Takes webhooks. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Webhooks {
    reader: BodyReader,
    trusted_proxies: TrustedProxies,
    coalescer: Coalescer,
    ingest: Upstream,
    /// The longest time that ingest may take for one body.
    timeout: Duration,
    metrics: EventMetrics,
}

/// Take events
///
/// One event, an array, or NDJSON; /webhook and /webhooks are the same. Good items are accepted although others are
/// bad. The response comes when every item is durable: a good one in the journal, a bad one as a dead letter. A body
/// that got neither 2xx nor 400 may be posted again: an event is counted once.
#[utoipa::path(post, path = "/events", tag = "webhooks", operation_id = "postEvents",
    request_body(description = "gzip or zstd where Content-Encoding says so; 64 MiB after decompression by default", content(
        (openapi::event_schema::Events = "application/json"),
        (openapi::event_schema::Event = "application/x-ndjson"),
    )),
    params(
        ("x-correlation-id" = Option<String>, Header, description = "Follows the events to their rows: 1 to 128 of [A-Za-z0-9._:-]. Without it x-request-id, or a new id"),
        ("traceparent" = Option<String>, Header, description = "W3C Trace Context")
    ),
    responses(
        (status = 202, description = "At least one item was accepted, or the array was empty", body = Accepted),
        (status = 400, description = "Not JSON, or every item is bad", body = ProblemBody, content_type = "application/problem+json"),
        (status = 408, description = "The body came too slowly", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "The body is over the limit of bytes, or has more items than one for every 128 bytes of itself; 1,000 always pass", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "The media type or the encoding is unknown", body = ProblemBody, content_type = "application/problem+json"),
        (status = 429, description = "The quota is used up", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "No item is promised to be durable: try again after Retry-After", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn post_events(
    State(webhooks): State<Arc<Webhooks>>,
    Extension(context): Extension<CallContext>,
    Extension(peer): Extension<Peer>,
    request: Request,
) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    let caller = webhooks.trusted_proxies.caller(peer.address.ip(), &head.headers);
    webhooks.take(caller, &head.headers, body, context).await
}

impl Webhooks {
    pub(crate) fn new(
        config: &EdgeConfig,
        ingest: Upstream,
        metrics: EventMetrics,
        registry: &mut Registry,
    ) -> Self {
        Self {
            reader: BodyReader::new(config, registry),
            trusted_proxies: config.trusted_proxies.clone(),
            coalescer: Coalescer::start(ingest.clone()),
            ingest,
            timeout: config.request_timeout,
            metrics,
        }
    }

    async fn take(
        &self,
        caller: IpAddr,
        headers: &HeaderMap,
        body: Body,
        context: CallContext,
    ) -> Result<Response, Problem> {
        let arrived_at = Utc::now();
        let (media_type, encoding) = (BodyFormat::of(headers)?, Encoding::of(headers)?);
        let received = self.reader.read(caller, headers, encoding, body).await;
        let received = received.inspect_err(|error| self.count_unread(error))?;
        let bytes = received.bytes.len();
        let parse = move || ParsedBody::parse(received, media_type, arrived_at);
        let parsed = run_off_thread(bytes, parse).await.map_err(|error| self.reject_whole(&error))?;
        let body = Arc::new(parsed);
        let correlation_id = context.correlation_id.to_string();
        match self.publish(&body, context).await {
            Ok(outcome) => {
                outcome.record_metrics(&self.metrics);
                respond(outcome, correlation_id)
            }
            Err(status) => Err(self.unknown_outcome(&body, &status)),
        }
    }

    /// A small body shares a call with others, a large one has several of its own.
    async fn publish(&self, body: &Arc<ParsedBody>, context: CallContext) -> Result<BodyOutcome, Status> {
        let deadline = Instant::now() + self.timeout;
        if Coalescer::takes(body) {
            self.coalescer.publish(body, context, deadline).await
        } else {
            publish_chunks(&self.ingest, body, &context, deadline).await
        }
    }

    /// Rejects a malformed body. It counts as one event, because the number of its items is unknown.
    fn reject_whole(&self, error: &ParseError) -> Problem {
        let (error_type, status) = match error {
            ParseError::Malformed(_) => (ErrorType::Invalid, StatusCode::BAD_REQUEST),
            ParseError::TooManyItems { .. } => (ErrorType::TooLarge, StatusCode::PAYLOAD_TOO_LARGE),
        };
        self.metrics.failed(Service::Edge, None, error_type, 1);
        Problem::new(status, error.to_string())
    }

    /// Counts a body that was not read as one event with source `unknown`.
    fn count_unread(&self, error: &BodyError) {
        let error_type = match error {
            BodyError::TooLarge { .. } => ErrorType::TooLarge,
            BodyError::Overloaded => ErrorType::Overloaded,
            BodyError::Slow | BodyError::Broken(_) => ErrorType::Invalid,
        };
        self.metrics.failed(Service::Edge, None, error_type, 1);
    }

    /// The problem of a body that may be durable or not. The response reports no item as accepted, so all count as
    /// failed.
    fn unknown_outcome(&self, body: &ParsedBody, status: &Status) -> Problem {
        let reason = status_to_reason(status, Reason::JournalUnavailable);
        let error_type = match reason {
            Some(Reason::JournalFull) => ErrorType::JournalFull,
            Some(Reason::JournalUnavailable | Reason::StoreUnavailable) => ErrorType::JournalUnavailable,
            Some(Reason::Overloaded) => ErrorType::Overloaded,
            Some(Reason::QuotaExceeded) => ErrorType::Quota,
            Some(Reason::InvalidRequest) | None => ErrorType::Transient,
        };
        for (source, events) in body.items_by_source().into_iter().filter(|(_, events)| *events > 0) {
            self.metrics.failed(Service::Edge, source, error_type, events);
        }
        match reason {
            // The edge made the call, so an invalid one is no fault of the sender.
            Some(Reason::InvalidRequest) => Problem::internal(),
            _ => status_to_problem(status, Reason::JournalUnavailable),
        }
    }
}

fn respond(outcome: BodyOutcome, correlation_id: String) -> Result<Response, Problem> {
    let (accepted, rejected) = (outcome.accepted(), outcome.rejected());
    let BodyOutcome { errors, errors_truncated, .. } = outcome;
    if accepted == 0 && rejected > 0 {
        return Err(Problem::bad_request("every item is bad").item_errors(
            rejected,
            errors,
            errors_truncated,
        ));
    }
    let accepted = Accepted { accepted, rejected, correlation_id, errors, errors_truncated };
    Ok((StatusCode::ACCEPTED, Json(accepted)).into_response())
}
