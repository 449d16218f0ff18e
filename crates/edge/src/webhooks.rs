//! `POST /events`: takes a body in, has every item checked and made durable, and tells what became of them.

mod batch;
mod blocking;
mod body;
mod call;
mod chunk;
mod coalesce;
mod dedup;
mod media_type;
mod outcome;
mod publish;

use std::sync::Arc;

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
use utoipa::ToSchema;
use weir_event::{ErrorType, Metrics, Service};
use weir_process::{CallContext, Reason};

pub(crate) use self::outcome::{ItemError, Violation};
use self::{
    batch::{Batch, Unfit},
    blocking::off_thread,
    body::{BodyError, Receiver},
    media_type::{Encoding, MediaType},
    outcome::Tally,
    publish::Publisher,
};
use crate::{
    args::EdgeConfig,
    openapi,
    problem::{Problem, ProblemBody},
    router::EdgeState,
    status_to_problem,
    upstream::Upstream,
};

/// What became of the items of one body, of which at least one is accepted.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Accepted {
    /// Items that are durable in the journal, repeated ones included.
    #[schema(example = 25311)]
    accepted: u64,
    /// Items that lie in the dead letters.
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

/// Takes webhooks.
#[derive(Clone, Debug)]
pub(crate) struct Webhooks {
    receiver: Receiver,
    publisher: Publisher,
    metrics: Metrics,
}

/// Take events
///
/// One event, an array, or NDJSON; /webhook and /webhooks are the same. Good items are accepted although others are
/// bad. The answer comes when every item is durable: a good one in the journal, a bad one as a dead letter. Whatever
/// is not answered 2xx or 400 may be posted again: an event is counted once.
#[utoipa::path(post, path = "/events", tag = "webhooks", operation_id = "postEvents",
    request_body(description = "gzip or zstd where Content-Encoding says so; 64 MiB after decompression by default", content(
        (openapi::event_schema::Events = "application/json"),
        (openapi::event_schema::Event = "application/x-ndjson"),
    )),
    params(
        ("x-correlation-id" = Option<String>, Header, description = "Follows the events to their rows: 1 to 128 of [A-Za-z0-9._:-]; x-request-id else, or a new one"),
        ("traceparent" = Option<String>, Header, description = "W3C Trace Context")
    ),
    responses(
        (status = 202, description = "At least one item was accepted, or the array was empty", body = Accepted),
        (status = 400, description = "Not JSON, or every item is bad", body = ProblemBody, content_type = "application/problem+json"),
        (status = 408, description = "The body came too slowly", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "The body is over the limit of bytes, or has more items than one for every 128 bytes of itself; 1,000 always pass", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "The media type or the encoding is unknown", body = ProblemBody, content_type = "application/problem+json"),
        (status = 429, description = "The quota is used up", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Nothing was promised: try again after Retry-After", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn post_events(
    State(edge): State<Arc<EdgeState>>,
    Extension(context): Extension<CallContext>,
    request: Request,
) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    edge.webhooks.take(&head.headers, body, context).await
}

impl Webhooks {
    pub(crate) fn new(
        config: &EdgeConfig,
        ingest: Upstream,
        metrics: Metrics,
        registry: &mut Registry,
    ) -> Self {
        let receiver = Receiver::new(config, registry);
        let publisher = Publisher::new(ingest, config.request_timeout);
        Self { receiver, publisher, metrics }
    }

    async fn take(&self, headers: &HeaderMap, body: Body, context: CallContext) -> Result<Response, Problem> {
        let arrived_at = Utc::now();
        let (media_type, encoding) = written_as(headers)?;
        let received = self.receiver.receive(headers, encoding, body).await;
        let received = received.inspect_err(|error| self.count_unread(error))?;
        let bytes = received.bytes.len();
        let prove = move || Batch::prove(received, media_type, arrived_at);
        let batch = off_thread(bytes, prove).await.map_err(|unfit| self.refuse_whole(&unfit))?;
        self.publish(Arc::new(batch), context).await
    }

    async fn publish(&self, batch: Arc<Batch>, context: CallContext) -> Result<Response, Problem> {
        let correlation_id = context.correlation_id.to_string();
        match self.publisher.publish(Arc::clone(&batch), context).await {
            Ok(tally) => {
                tally.publish(&self.metrics);
                answer(tally, correlation_id)
            }
            Err(status) => {
                let reason = status_to_problem::reason(&status, Reason::JournalUnavailable);
                self.count_unanswered(&batch, reason);
                Err(match reason {
                    // The chunk was made here, so that it is no fault of the sender.
                    Some(Reason::InvalidRequest) => Problem::internal(),
                    _ => status_to_problem::problem(&status, Reason::JournalUnavailable),
                })
            }
        }
    }

    /// A body whose items nobody knows counts as one event.
    fn refuse_whole(&self, unfit: &Unfit) -> Problem {
        let (error_type, status) = match unfit {
            Unfit::Malformed(_) => (ErrorType::Invalid, StatusCode::BAD_REQUEST),
            Unfit::TooManyItems { .. } => (ErrorType::TooLarge, StatusCode::PAYLOAD_TOO_LARGE),
        };
        self.metrics.failed(Service::Edge, None, error_type, 1);
        Problem::new(status, unfit.to_string())
    }

    /// A body that was not read counts as one event of nobody knows whom.
    fn count_unread(&self, error: &BodyError) {
        let error_type = match error {
            BodyError::TooLarge { .. } => ErrorType::TooLarge,
            BodyError::Overloaded => ErrorType::Overloaded,
            BodyError::Slow | BodyError::Broken(_) => ErrorType::Invalid,
        };
        self.metrics.failed(Service::Edge, None, error_type, 1);
    }

    /// Nothing of such a batch is reported as accepted, so that nothing of it is counted so.
    fn count_unanswered(&self, batch: &Batch, reason: Option<Reason>) {
        let error_type = match reason {
            Some(Reason::JournalFull) => ErrorType::JournalFull,
            Some(Reason::JournalUnavailable | Reason::StoreUnavailable) => ErrorType::JournalUnavailable,
            Some(Reason::Overloaded) => ErrorType::Overloaded,
            Some(Reason::QuotaExceeded) => ErrorType::Quota,
            Some(Reason::InvalidRequest) | None => ErrorType::Transient,
        };
        for (source, events) in batch.named().into_iter().filter(|(_, events)| *events > 0) {
            self.metrics.failed(Service::Edge, source, error_type, events);
        }
    }
}

fn written_as(headers: &HeaderMap) -> Result<(MediaType, Encoding), Problem> {
    Ok((MediaType::of(headers)?, Encoding::of(headers)?))
}

fn answer(tally: Tally, correlation_id: String) -> Result<Response, Problem> {
    let (accepted, rejected) = (tally.accepted(), tally.rejected());
    let Tally { errors, errors_truncated, .. } = tally;
    if accepted == 0 && rejected > 0 {
        return Err(Problem::bad_request("every item is bad").errors(rejected, errors, errors_truncated));
    }
    let accepted = Accepted { accepted, rejected, correlation_id, errors, errors_truncated };
    Ok((StatusCode::ACCEPTED, Json(accepted)).into_response())
}
