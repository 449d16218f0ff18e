//! The dead letter service, as a client sees it.

use tonic::{Request, transport::Channel};
use weir::contract::ingest::v1::dead_letter_service_client::DeadLetterServiceClient;

use crate::client::Service;

/// A page of letters, and one letter with its bytes, in bytes.
const MAX_ANSWER: usize = 64 << 20;

/// Asks ingest.
pub(super) struct Client {
    pub(super) service: DeadLetterServiceClient<Channel>,
    pub(super) access: Service,
}

impl Client {
    /// # Errors
    /// No ingest can be used; the cause is named.
    pub(super) async fn connect(access: Service) -> anyhow::Result<Self> {
        let client = DeadLetterServiceClient::new(access.servers.connect().await?);
        Ok(Self { service: client.max_decoding_message_size(MAX_ANSWER), access })
    }

    /// A request with the operator's token, where there is one.
    pub(super) fn request<Message>(&self, message: Message) -> Request<Message> {
        self.access.request(message)
    }
}
