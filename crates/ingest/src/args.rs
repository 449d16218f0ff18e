//! What an operator chooses of ingest.

use std::net::SocketAddr;

use weir_process::args::{ConfigErrors, Environment, OperatorArgs, OperatorToken};

use crate::request::MAX_DECODED_BYTES;

/// The port that ingest listens on unless it is told otherwise.
const PORT: u16 = 50_051;

#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Ingest")]
pub struct IngestArgs {
    /// Where the gRPC services weir.ingest.v1.IngestService and DeadLetterService are served: HOST:PORT, :PORT or PORT; by default
    /// port 50051.
    #[arg(long, env = "INGEST_LISTEN", value_name = "ADDRESS")]
    pub ingest_listen: Option<String>,
    /// How many bytes of calls may be worked on at once, as they come over the wire; at least 33554432, so that the
    /// largest call fits. At the bound a call waits up to 2 s and is then refused as OVERLOADED. Metrics:
    /// weir_ingest_call_bytes_in_flight, weir_ingest_call_bytes_limit.
    #[arg(long, env = "INGEST_MAX_IN_FLIGHT_BYTES", default_value = "67108864", value_name = "BYTES")]
    pub ingest_max_in_flight_bytes: String,
}

/// The checked [`IngestArgs`].
#[derive(Clone, Debug)]
pub struct IngestConfig {
    pub listen: SocketAddr,
    /// Of calls, over all of them; at least as much as the largest one has.
    pub max_in_flight_bytes: usize,
    /// For operators who are not on this machine.
    pub operator_token: Option<OperatorToken>,
}

impl IngestArgs {
    pub fn check(
        &self,
        environment: Environment,
        operator: &OperatorArgs,
        mistakes: &mut ConfigErrors,
    ) -> Option<IngestConfig> {
        let listen = environment.listen("INGEST_LISTEN", self.ingest_listen.as_deref(), PORT, mistakes);
        let max_in_flight_bytes = in_flight(&self.ingest_max_in_flight_bytes);
        let max_in_flight_bytes = mistakes.check("INGEST_MAX_IN_FLIGHT_BYTES", max_in_flight_bytes);
        let operator_token = operator.check(mistakes);
        Some(IngestConfig {
            listen: listen?,
            max_in_flight_bytes: max_in_flight_bytes?,
            operator_token: operator_token?,
        })
    }
}

fn in_flight(text: &str) -> Result<usize, String> {
    /// Room is counted in 32 bits of 4 KiB.
    const MOST: usize = 1 << 40;
    match text.parse() {
        Ok(bytes @ MAX_DECODED_BYTES..=MOST) => Ok(bytes),
        Ok(_) | Err(_) => Err(format!("'{text}' is no number of bytes from {MAX_DECODED_BYTES} to {MOST}")),
    }
}
