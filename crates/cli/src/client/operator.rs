//! The client of ingest's services with people's data, which presents the operator's token.

use clap::Args;
use tonic::{Request, Response, Status};
use weir_process::args::{ConfigErrors, OperatorArgs, OperatorToken};

use super::grpc::GrpcServers;
use crate::wait::with_wait_notice;

/// The server and the format of the answer.
#[derive(Debug, Args)]
pub(crate) struct OperatorClientArgs {
    /// The gRPC address of ingest. Several addresses, separated by commas, share the calls.
    #[arg(long, env = "INGEST_URL", default_value = "http://127.0.0.1:50051", value_name = "URL")]
    ingest_url: String,
    #[command(flatten)]
    operator: OperatorArgs,
    /// Print JSON instead of tables.
    #[arg(long)]
    pub(crate) json: bool,
}

/// The servers and the token, checked.
#[derive(Clone, Debug)]
pub(crate) struct OperatorClient {
    pub(crate) servers: GrpcServers,
    token: Option<OperatorToken>,
}

impl OperatorClientArgs {
    pub(crate) fn check(&self, errors: &mut ConfigErrors) -> Option<OperatorClient> {
        let servers = GrpcServers::ingest(&self.ingest_url, errors);
        let token = self.operator.check(errors);
        Some(OperatorClient { servers: servers?, token: token? })
    }
}

impl OperatorClient {
    /// A request with the operator's token, if one is configured.
    pub(crate) fn request<Message>(&self, message: Message) -> Request<Message> {
        let mut request = Request::new(message);
        if let Some(token) = &self.token {
            let value = format!("Bearer {}", token.as_str()).parse();
            request.metadata_mut().insert("authorization", value.expect("a token fits into metadata"));
        }
        request
    }

    /// Returns the answer, or the explanation of the status. Standard error reports a wait every 5 s.
    pub(crate) async fn answered<Message>(
        &self,
        call: impl Future<Output = Result<Response<Message>, Status>>,
    ) -> anyhow::Result<Message> {
        self.servers.answered(with_wait_notice("ingest", call).await)
    }

    /// Explains the status of a refused call.
    pub(crate) fn explanation(&self, status: &Status) -> anyhow::Error {
        self.servers.explanation(status)
    }
}
