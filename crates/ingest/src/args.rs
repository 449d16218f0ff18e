//! What an operator chooses of ingest.

use std::net::SocketAddr;

use weir::process::args::{Environment, Mistakes, OperatorArgs, OperatorToken};

/// The port that ingest listens on unless it is told otherwise.
const PORT: u16 = 50_051;

#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Ingest")]
pub struct IngestArgs {
    /// Where the gRPC services weir.ingest.v1.IngestService and DeadLetterService are served: HOST:PORT, :PORT or PORT; by default
    /// port 50051.
    #[arg(long, env = "INGEST_LISTEN", value_name = "ADDRESS")]
    pub ingest_listen: Option<String>,
}

/// The checked [`IngestArgs`].
#[derive(Clone, Debug)]
pub struct IngestConfig {
    pub listen: SocketAddr,
    /// For operators who are not on this machine.
    pub operator_token: Option<OperatorToken>,
}

impl IngestArgs {
    pub fn check(
        &self,
        environment: Environment,
        operator: &OperatorArgs,
        mistakes: &mut Mistakes,
    ) -> Option<IngestConfig> {
        let listen = environment.listen("INGEST_LISTEN", self.ingest_listen.as_deref(), PORT, mistakes);
        let operator_token = operator.check(mistakes);
        Some(IngestConfig { listen: listen?, operator_token: operator_token? })
    }
}
