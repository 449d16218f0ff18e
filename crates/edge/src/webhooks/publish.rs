//! Sends a batch to ingest, chunk by chunk, several on their way at once.

use std::{sync::Arc, time::Duration};

use futures::{Stream, StreamExt as _, TryStreamExt as _, stream};
use tokio::time::Instant;
use tonic::{Request, Status};
use uuid::Uuid;
use weir::{
    contract::ingest::v1::{
        Item, ItemResult, PublishEventsRequest, ingest_service_client::IngestServiceClient,
    },
    event::Origin,
    process::{CallContext, grpc::TracedChannel},
};

use super::{
    batch::{Batch, Cursor},
    blocking::off_thread,
    chunk::{Chunk, Sent},
    tally::Tally,
};
use crate::upstream::Upstream;

/// While one chunk is made durable the next ones are checked; more would only fill memory.
const CHUNKS_IN_FLIGHT: usize = 4;
/// Calls of one chunk: as many instances may die under it, and the sender is told to try again.
const MOST_ATTEMPTS: usize = 3;
/// An answer for 1,000 items that each break every rule stays below.
const MAX_ANSWER_BYTES: usize = 16 << 20;

/// Sends batches to ingest.
#[derive(Clone, Debug)]
pub(super) struct Publisher {
    pub(super) ingest: Upstream,
    /// How long one batch may take.
    pub(super) timeout: Duration,
}

/// One batch on its way.
struct Call<'a> {
    ingest: &'a Upstream,
    batch: &'a Arc<Batch>,
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
        let call = Call { ingest: &self.ingest, batch: &batch, context: &context, origin, deadline };
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
    /// A chunk that is sent again has the same id: the journal takes it once, and nothing counts as a duplicate.
    async fn send(&self, chunk: Chunk) -> Result<(Vec<Sent>, Vec<ItemResult>), Status> {
        let Chunk { start, mut items, sent } = chunk;
        let publish_id = Uuid::now_v7().to_string();
        let mut attempts = self.ingest.attempts(self.deadline, MOST_ATTEMPTS);
        loop {
            match self.attempt(attempts.channel()?, items, &publish_id).await {
                Ok(results) => return Ok((sent, results)),
                Err(failure) => attempts.after(failure).await?,
            }
            items = self.again(start.clone()).await;
        }
    }

    async fn attempt(
        &self,
        channel: TracedChannel,
        items: Vec<Item>,
        publish_id: &str,
    ) -> Result<Vec<ItemResult>, Status> {
        let mut client = IngestServiceClient::new(channel).max_decoding_message_size(MAX_ANSWER_BYTES);
        let publish_id = publish_id.to_owned();
        let mut request =
            Request::new(PublishEventsRequest { items, origin: Some(self.origin.clone()), publish_id });
        self.context.write_metadata(request.metadata_mut());
        request.set_timeout(self.deadline.saturating_duration_since(Instant::now()));
        let response = client.publish_events(request).await?;
        Ok(response.into_inner().results)
    }

    /// The items of a chunk, made anew: that is rare, and keeping a copy of every chunk would not be.
    async fn again(&self, mut start: Cursor) -> Vec<Item> {
        let batch = Arc::clone(self.batch);
        let chunk = off_thread(self.batch.bytes(), move || Chunk::next(&batch, &mut start)).await;
        chunk.map(|chunk| chunk.items).unwrap_or_default()
    }
}
