//! Sends a batch to ingest: a small one together with others, a large one chunk by chunk, several on their way at once.

use std::{sync::Arc, time::Duration};

use futures::{Stream, StreamExt as _, TryStreamExt as _, stream};
use tokio::time::Instant;
use tonic::Status;
use weir::contract::ingest::v1::ItemResult;
use weir_event::Origin;
use weir_process::CallContext;

use super::{
    batch::Batch,
    blocking::off_thread,
    call::Call,
    chunk::{Chunk, Sent},
    coalesce::Gatherer,
    outcome::Tally,
};
use crate::upstream::Upstream;

/// While one chunk is made durable the next ones are checked; more would only fill memory.
const CHUNKS_IN_FLIGHT: usize = 4;
/// A larger body has little to gain from company, and would keep it waiting.
const SMALL_BYTES: usize = 16 << 10;
const SMALL_ITEMS: u64 = 32;

/// Sends batches to ingest.
#[derive(Clone, Debug)]
pub(super) struct Publisher {
    ingest: Upstream,
    gatherer: Gatherer,
    /// How long one batch may take.
    timeout: Duration,
}

impl Publisher {
    pub(super) fn new(ingest: Upstream, timeout: Duration) -> Self {
        Self { gatherer: Gatherer::start(ingest.clone()), ingest, timeout }
    }

    /// Returns when every item is durable, the good ones in the journal and the bad ones as dead letters.
    ///
    /// # Errors
    /// It is unknown what became of the batch: part of it may be durable, and repeating it is harmless.
    pub(super) async fn publish(&self, batch: Arc<Batch>, context: CallContext) -> Result<Tally, Status> {
        let deadline = Instant::now() + self.timeout;
        if batch.bytes() <= SMALL_BYTES && batch.items() <= SMALL_ITEMS {
            // Whose calls end in time by themselves.
            return self.gather(&batch, context, deadline).await;
        }
        let sending = Box::pin(self.stream(&batch, &context, deadline));
        let sent = tokio::time::timeout_at(deadline, sending).await;
        sent.unwrap_or_else(|_| Err(Status::deadline_exceeded("ingest did not answer in time")))
    }

    async fn gather(&self, batch: &Batch, context: CallContext, deadline: Instant) -> Result<Tally, Status> {
        let Some(Chunk { items, sent }) = Chunk::next(batch, &mut batch.cursor()) else {
            return Ok(Tally::default());
        };
        let results = self.gatherer.send(items, context, batch.arrived_at, deadline).await?;
        Tally::default().count(batch, sent, results)
    }

    async fn stream(
        &self,
        batch: &Arc<Batch>,
        context: &CallContext,
        deadline: Instant,
    ) -> Result<Tally, Status> {
        let origin = Some(Origin::of_call(context.clone(), batch.arrived_at).into());
        let call = Call { ingest: &self.ingest, context, origin, origins: None, deadline };
        let send = async |Chunk { items, sent }: Chunk| -> Result<(Vec<Sent>, Vec<ItemResult>), Status> {
            call.send(items).await.map(|results| (sent, results))
        };
        chunks(Arc::clone(batch))
            .map(send)
            .buffered(CHUNKS_IN_FLIGHT)
            .try_fold(Tally::default(), |tally, (sent, results)| {
                std::future::ready(tally.count(batch, sent, results))
            })
            .await
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
