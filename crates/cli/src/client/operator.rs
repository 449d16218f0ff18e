//! Ingest's services over people's data, as an operator calls them.

use clap::Args;
use tonic::{Request, Response, Status};
use weir_process::args::{ConfigErrors, OperatorArgs, OperatorToken};

use super::grpc::Servers;
use crate::wait::patiently;

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
#[derive(Clone, Debug)]
pub(crate) struct Service {
    pub(crate) servers: Servers,
    token: Option<OperatorToken>,
}

impl ServiceArgs {
    pub(crate) fn check(&self, mistakes: &mut ConfigErrors) -> Option<Service> {
        let servers = Servers::ingest(&self.ingest_url, mistakes);
        let token = self.operator.check(mistakes);
        Some(Service { servers: servers?, token: token? })
    }
}

impl Service {
    /// A request with the operator's token, where there is one.
    pub(crate) fn request<Message>(&self, message: Message) -> Request<Message> {
        let mut request = Request::new(message);
        if let Some(token) = &self.token {
            let value = format!("Bearer {}", token.as_str()).parse();
            request.metadata_mut().insert("authorization", value.expect("a token fits into metadata"));
        }
        request
    }

    /// The answer, or what ingest says against it; says every 5 s that it is waited for.
    pub(crate) async fn answered<Message>(
        &self,
        call: impl Future<Output = Result<Response<Message>, Status>>,
    ) -> anyhow::Result<Message> {
        self.servers.answered(patiently("ingest", call).await)
    }

    /// What ingest says against a call.
    pub(crate) fn explained(&self, status: &Status) -> anyhow::Error {
        self.servers.explained(status)
    }
}
