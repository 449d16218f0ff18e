//! The dead letter service, as a client sees it.

use anyhow::anyhow;
use tonic::{Code, Request, Response, Status, transport::Channel};
use tonic_types::StatusExt as _;
use weir::{
    contract::ingest::v1::dead_letter_service_client::DeadLetterServiceClient,
    process::{Reason, args::OperatorToken, grpc},
};

use super::args::Service;

/// A page of letters, and one letter with its bytes, in bytes.
const MAX_ANSWER: usize = 64 << 20;

/// Asks ingest; connects when it is first asked.
pub(super) struct Client {
    pub(super) service: DeadLetterServiceClient<Channel>,
    token: Option<OperatorToken>,
}

impl Client {
    pub(super) fn new(service: Service) -> anyhow::Result<Self> {
        let client = DeadLetterServiceClient::new(grpc::channel(&service.addresses)?);
        Ok(Self { service: client.max_decoding_message_size(MAX_ANSWER), token: service.token })
    }

    /// A request with the operator's token, where there is one.
    pub(super) fn request<Message>(&self, message: Message) -> Request<Message> {
        let mut request = Request::new(message);
        if let Some(token) = &self.token {
            let value = format!("Bearer {}", token.as_str()).parse();
            request.metadata_mut().insert("authorization", value.expect("a token fits into metadata"));
        }
        request
    }
}

/// The answer, or what ingest says against it.
pub(super) fn answered<Message>(answer: Result<Response<Message>, Status>) -> anyhow::Result<Message> {
    answer.map(Response::into_inner).map_err(|status| explained(&status))
}

pub(super) fn explained(status: &Status) -> anyhow::Error {
    if status.code() == Code::Unavailable && Reason::of(status).is_none() {
        return anyhow!("ingest can't be reached (INGEST_URL): {}", status.message());
    }
    let fields = status.get_details_bad_request().map_or_else(Vec::new, |details| details.field_violations);
    let fields: String =
        fields.iter().map(|field| format!("\n  - {}: {}", field.field, field.description)).collect();
    anyhow!("ingest refused: {}{fields}", status.message())
}
