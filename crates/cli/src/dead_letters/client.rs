//! The dead letter service, as a client sees it.

use tonic::{Request, transport::Channel};
use weir::contract::ingest::v1::dead_letter_service_client::DeadLetterServiceClient;

use crate::operator::Service;

/// A page of letters, and one letter with its bytes, in bytes.
const MAX_ANSWER: usize = 64 << 20;

/// Asks ingest; connects when it is first asked.
pub(super) struct Client {
    pub(super) service: DeadLetterServiceClient<Channel>,
    access: Service,
}

impl Client {
    pub(super) fn new(access: Service) -> anyhow::Result<Self> {
        let client = DeadLetterServiceClient::new(access.channel()?);
        Ok(Self { service: client.max_decoding_message_size(MAX_ANSWER), access })
    }

    /// A request with the operator's token, where there is one.
    pub(super) fn request<Message>(&self, message: Message) -> Request<Message> {
        self.access.request(message)
    }
}
