//! Ingest's services over people's data, as an operator calls them.

use anyhow::anyhow;
use clap::Args;
use tonic::{Code, Request, Response, Status, transport::Channel};
use tonic_types::StatusExt as _;
use url::Url;
use weir::process::{
    Reason,
    args::{Mistakes, OperatorArgs, OperatorToken},
    grpc,
};

/// Whom to ask, and how the answer is shown.
#[derive(Debug, Args)]
pub(crate) struct ServiceArgs {
    /// Where ingest serves gRPC; several, separated by commas, are balanced over.
    #[arg(long, env = "INGEST_URL", default_value = "http://127.0.0.1:50051", value_name = "URL")]
    ingest_url: String,
    #[command(flatten)]
    operator: OperatorArgs,
    /// Print JSON instead of tables.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Whom to ask, checked.
#[derive(Debug)]
pub(crate) struct Service {
    addresses: Vec<Url>,
    token: Option<OperatorToken>,
}

impl ServiceArgs {
    pub(crate) fn check(&self, mistakes: &mut Mistakes) -> Option<Service> {
        let addresses = mistakes.check("--ingest-url (INGEST_URL)", grpc::addresses(&self.ingest_url));
        let token = self.operator.check(mistakes);
        Some(Service { addresses: addresses?, token: token? })
    }
}

impl Service {
    /// Connects when it is first used.
    pub(crate) fn channel(&self) -> anyhow::Result<Channel> {
        grpc::channel(&self.addresses)
    }

    /// A request with the operator's token, where there is one.
    pub(crate) fn request<Message>(&self, message: Message) -> Request<Message> {
        let mut request = Request::new(message);
        if let Some(token) = &self.token {
            let value = format!("Bearer {}", token.as_str()).parse();
            request.metadata_mut().insert("authorization", value.expect("a token fits into metadata"));
        }
        request
    }
}

/// The answer, or what ingest says against it.
pub(crate) fn answered<Message>(answer: Result<Response<Message>, Status>) -> anyhow::Result<Message> {
    answer.map(Response::into_inner).map_err(|status| explained(&status))
}

pub(crate) fn explained(status: &Status) -> anyhow::Error {
    if status.code() == Code::Unavailable && Reason::of(status).is_none() {
        return anyhow!("ingest can't be reached (INGEST_URL): {}", status.message());
    }
    let fields = status.get_details_bad_request().map_or_else(Vec::new, |details| details.field_violations);
    let fields: String =
        fields.iter().map(|field| format!("\n  - {}: {}", field.field, field.description)).collect();
    anyhow!("ingest refused: {}{fields}", status.message())
}
