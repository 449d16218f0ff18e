//! The client of the dead letter service.

use tonic::{Request, transport::Channel};
use weir::contract::ingest::v1::dead_letter_service_client::DeadLetterServiceClient;

use crate::client::OperatorClient;

/// In bytes: room for a page of letters, or for one letter with its raw bytes.
const MAX_ANSWER_BYTES: usize = 64 << 20;

/// Calls the dead letter service of ingest.
pub(super) struct DeadLetterClient {
    pub(super) service: DeadLetterServiceClient<Channel>,
    pub(super) access: OperatorClient,
}

impl DeadLetterClient {
    /// # Errors
    /// No ingest is usable. The error names the cause.
    pub(super) async fn connect(access: OperatorClient) -> anyhow::Result<Self> {
        let client = DeadLetterServiceClient::new(access.servers.connect().await?);
        Ok(Self { service: client.max_decoding_message_size(MAX_ANSWER_BYTES), access })
    }

    /// A request with the operator's token, if one is configured.
    pub(super) fn request<Message>(&self, message: Message) -> Request<Message> {
        self.access.request(message)
    }
}
