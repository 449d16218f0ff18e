//! Sends a batch to ingest, chunk by chunk, several on their way at once.

use std::{sync::Arc, time::Duration};

use futures::{Stream, StreamExt as _, TryStreamExt as _, stream};
use tokio::time::Instant;
use tonic::{Request, Status};
use weir::{
    contract::ingest::v1::{ItemResult, PublishEventsRequest, ingest_service_client::IngestServiceClient},
    event::Origin,
    process::CallContext,
};

use super::{
    batch::Batch,
    blocking::off_thread,
    chunk::{Chunk, Sent},
    tally::Tally,
};
use crate::replicas::Replicas;

/// While one chunk is made durable the next ones are checked; more would only fill memory.
const CHUNKS_IN_FLIGHT: usize = 4;
/// An answer for 1,000 items that each break every rule stays below.
const MAX_ANSWER_BYTES: usize = 16 << 20;

/// Sends batches to ingest.
#[derive(Clone, Debug)]
pub(super) struct Publisher {
    pub(super) ingest: Replicas,
    /// How long one batch may take.
    pub(super) timeout: Duration,
}

/// One batch on its way.
struct Call<'a> {
    ingest: &'a Replicas,
    context: &'a CallContext,
    origin: weir::contract::event::v1::Origin,
    deadline: Instant,
}

impl Publisher {
    /// Returns when every item is durable, the good ones in the journal and the bad ones as dead letters.
    ///
    /// # Errors
    /// It is unknown what became of the batch: part of it may be durable, and repeating it is harmless.
    pub(super) async fn publish(&self, batch: Arc<Batch>, context: CallContext) -> Result<Tally, Status> {
        let origin = Origin::of_call(context.clone(), batch.arrived_at).into();
        let deadline = Instant::now() + self.timeout;
        let call = Call { ingest: &self.ingest, context: &context, origin, deadline };
        let sending = chunks(Arc::clone(&batch))
            .map(|chunk| call.send(chunk))
            .buffered(CHUNKS_IN_FLIGHT)
            .try_fold(Tally::default(), |tally, (sent, results)| {
                std::future::ready(tally.count(&batch, sent, results))
            });
        let sent = tokio::time::timeout_at(deadline, Box::pin(sending)).await;
        sent.unwrap_or_else(|_| Err(Status::deadline_exceeded("ingest did not answer in time")))
    }
}

/// The batch in pieces, each made when it is asked for.
fn chunks(batch: Arc<Batch>) -> impl Stream<Item = Chunk> {
    let start = batch.cursor();
    stream::unfold((batch, start), |(batch, mut cursor)| async move {
        let bytes = batch.bytes();
        let next = move || Chunk::next(&batch, &mut cursor).map(|chunk| (chunk, (batch, cursor)));
        off_thread(bytes, next).await
    })
}

impl Call<'_> {
    async fn send(&self, chunk: Chunk) -> Result<(Vec<Sent>, Vec<ItemResult>), Status> {
        let Chunk { items, sent } = chunk;
        let channel = self.ingest.channel().ok_or_else(|| Status::unavailable("no ingest is configured"))?;
        let mut client = IngestServiceClient::new(channel).max_decoding_message_size(MAX_ANSWER_BYTES);
        let mut request = Request::new(PublishEventsRequest { items, origin: Some(self.origin.clone()) });
        self.context.write_metadata(request.metadata_mut());
        request.set_timeout(self.deadline.saturating_duration_since(Instant::now()));
        let response = client.publish_events(request).await?;
        Ok((sent, response.into_inner().results))
    }
}
