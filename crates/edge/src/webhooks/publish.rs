//! Publishing of items: one PublishEvents call with its retries, and a large body as several calls at once.

use std::sync::Arc;

use futures::{Stream, StreamExt as _, TryStreamExt as _, stream};
use tokio::time::Instant;
use tonic::{Request, Status};
use uuid::Uuid;
use weir::contract::{
    MAX_RESPONSE_BYTES,
    event::v1::Origin,
    ingest::v1::{Item, ItemResult, PublishEventsRequest, ingest_service_client::IngestServiceClient},
};
use weir_process::{
    CallContext,
    grpc::{CallOrigins, TracedChannel},
};

use super::{
    chunk::{Chunk, SentItem},
    outcome::BodyOutcome,
    parsed_body::{ParsedBody, run_off_thread},
};
use crate::upstream::Upstream;

/// Attempts of one call. Two instances may die under it; after a third failure the sender gets a 503.
const MAX_ATTEMPTS: usize = 3;
/// Calls of one body in flight. While ingest makes one chunk durable, the edge checks the next ones; more would only
/// fill memory.
const MAX_CALLS_IN_FLIGHT: usize = 4;

/// One PublishEvents call.
#[derive(Debug)]
pub(super) struct PublishCall<'a> {
    pub(super) ingest: &'a Upstream,
    pub(super) context: &'a CallContext,
    /// The origin of every item that has none of its own.
    pub(super) origin: Option<Origin>,
    /// The requests that the call's span belongs to, where the current span is not the one.
    pub(super) origins: Option<CallOrigins>,
    pub(super) deadline: Instant,
}

impl PublishCall<'_> {
    /// Sends items, and repeats the call after a failure that a retry may avoid. All attempts have the same id, so
    /// the journal takes the items once, and none counts as a duplicate.
    ///
    /// # Errors
    /// It is unknown whether the items are durable.
    pub(super) async fn send(&self, items: Vec<Item>) -> Result<Vec<ItemResult>, Status> {
        let publish_id = Uuid::now_v7().to_string();
        let request = PublishEventsRequest { items, origin: self.origin.clone(), publish_id };
        let mut attempts = self.ingest.attempts(self.deadline, MAX_ATTEMPTS);
        loop {
            // The copy shares the bytes of the events.
            match self.attempt(attempts.channel()?, request.clone()).await {
                Ok(results) if results.len() == request.items.len() => return Ok(results),
                Ok(_) => {
                    return Err(Status::internal("ingest returned another number of results than items"));
                }
                Err(failure) => attempts.retry_after(failure).await?,
            }
        }
    }

    async fn attempt(
        &self,
        channel: TracedChannel,
        request: PublishEventsRequest,
    ) -> Result<Vec<ItemResult>, Status> {
        let mut client = IngestServiceClient::new(channel).max_decoding_message_size(MAX_RESPONSE_BYTES);
        let mut request = Request::new(request);
        self.context.write_metadata(request.metadata_mut());
        request.set_timeout(self.deadline.saturating_duration_since(Instant::now()));
        if let Some(origins) = &self.origins {
            request.extensions_mut().insert(origins.clone());
        }
        let response = client.publish_events(request).await?;
        Ok(response.into_inner().results)
    }
}

/// Sends a body to ingest in chunks, and returns when every item is durable: good ones in the journal, bad ones as dead
/// letters.
///
/// # Errors
/// The outcome of the body is unknown. Part of it may be durable, and posting it again is harmless.
pub(super) async fn publish_chunks(
    ingest: &Upstream,
    body: &Arc<ParsedBody>,
    context: &CallContext,
    deadline: Instant,
) -> Result<BodyOutcome, Status> {
    let origin = Some(weir_event::Origin::of_call(context.clone(), body.arrived_at).into());
    let call = PublishCall { ingest, context, origin, origins: None, deadline };
    let send = async |Chunk { items, sent }: Chunk| -> Result<(Vec<SentItem>, Vec<ItemResult>), Status> {
        call.send(items).await.map(|results| (sent, results))
    };
    let publishing = chunks(Arc::clone(body))
        .map(send)
        .buffered(MAX_CALLS_IN_FLIGHT)
        .try_fold(BodyOutcome::default(), |outcome, (sent, results)| {
            std::future::ready(outcome.add(body, sent, results))
        });
    let outcome = tokio::time::timeout_at(deadline, Box::pin(publishing)).await;
    outcome.unwrap_or_else(|_| Err(deadline_exceeded()))
}

/// The failure of a call whose deadline has passed.
pub(super) fn deadline_exceeded() -> Status {
    Status::deadline_exceeded("ingest did not respond in time")
}

/// The chunks of a body. Each is packed when the stream is polled for it.
fn chunks(body: Arc<ParsedBody>) -> impl Stream<Item = Chunk> {
    let start = body.items.cursor();
    stream::unfold((body, start), |(body, mut cursor)| async move {
        let bytes = body.bytes();
        let next = move || Chunk::next(&body, &mut cursor).map(|chunk| (chunk, (body, cursor)));
        run_off_thread(bytes, next).await
    })
}
