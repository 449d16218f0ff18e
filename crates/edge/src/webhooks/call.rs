//! One PublishEvents call, made again where that is harmless and may help.

use tokio::time::Instant;
use tonic::{Request, Status};
use uuid::Uuid;
use weir::contract::{
    MAX_ANSWER_BYTES,
    event::v1::Origin,
    ingest::v1::{Item, ItemResult, PublishEventsRequest, ingest_service_client::IngestServiceClient},
};
use weir_process::{
    CallContext,
    grpc::{CallOrigins, TracedChannel},
};

use crate::upstream::Upstream;

/// Calls of one chunk: as many instances may die under it, and the sender is told to try again.
const MOST_ATTEMPTS: usize = 3;

/// Where and as what items are sent.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) ingest: &'a Upstream,
    pub(super) context: &'a CallContext,
    /// Of every item that names none of its own.
    pub(super) origin: Option<Origin>,
    /// What its span belongs to, where that is not the current one.
    pub(super) origins: Option<CallOrigins>,
    pub(super) deadline: Instant,
}

impl Call<'_> {
    /// Items that are sent again have the same id: the journal takes them once, and nothing counts as a duplicate.
    ///
    /// # Errors
    /// It is unknown what became of the items.
    pub(super) async fn send(&self, items: Vec<Item>) -> Result<Vec<ItemResult>, Status> {
        let publish_id = Uuid::now_v7().to_string();
        let request = PublishEventsRequest { items, origin: self.origin.clone(), publish_id };
        let mut attempts = self.ingest.attempts(self.deadline, MOST_ATTEMPTS);
        loop {
            // Events in bytes are shared with the copy.
            match self.attempt(attempts.channel()?, request.clone()).await {
                Ok(results) if results.len() == request.items.len() => return Ok(results),
                Ok(_) => return Err(Status::internal("ingest answered for another number of items")),
                Err(failure) => attempts.after(failure).await?,
            }
        }
    }

    async fn attempt(
        &self,
        channel: TracedChannel,
        request: PublishEventsRequest,
    ) -> Result<Vec<ItemResult>, Status> {
        let mut client = IngestServiceClient::new(channel).max_decoding_message_size(MAX_ANSWER_BYTES);
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
