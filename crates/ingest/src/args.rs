//! The options of ingest.

use std::net::SocketAddr;

use weir_process::args::{ConfigErrors, Environment, OperatorArgs, OperatorToken};

use crate::request::MAX_DECODED_BYTES;

/// The port of ingest, unless `INGEST_LISTEN` names another.
const PORT: u16 = 50_051;

/// The options of ingest, as an operator sets them.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Ingest")]
pub struct IngestArgs {
    /// The address of the gRPC services weir.ingest.v1.IngestService, DeadLetterService and ErasureService: HOST:PORT,
    /// :PORT or PORT; by default port 50051.
    #[arg(long, env = "INGEST_LISTEN", value_name = "ADDRESS")]
    pub ingest_listen: Option<String>,
    /// The most bytes of calls in flight, as they arrive over the network; at least 33554432, so that the largest call
    /// fits. At the bound a call waits up to 2 s, then ingest refuses it as OVERLOADED. Metrics:
    /// weir_ingest_call_bytes_in_flight, weir_ingest_call_bytes_limit.
    #[arg(long, env = "INGEST_MAX_IN_FLIGHT_BYTES", default_value = "67108864", value_name = "BYTES")]
    pub ingest_max_in_flight_bytes: String,
}

/// The checked [`IngestArgs`].
#[derive(Clone, Debug)]
pub struct IngestConfig {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// The most bytes of all calls together; at least the size of the largest call.
    pub max_in_flight_bytes: usize,
    /// The token of operators on other machines; without one, only loopback listeners serve them.
    pub operator_token: Option<OperatorToken>,
}

impl IngestArgs {
    /// Checks every option. Adds each error to `errors`, and returns `None` after the first one.
    pub fn check(
        &self,
        environment: Environment,
        operator: &OperatorArgs,
        errors: &mut ConfigErrors,
    ) -> Option<IngestConfig> {
        let listen = environment.listen("INGEST_LISTEN", self.ingest_listen.as_deref(), PORT, errors);
        let max_in_flight_bytes = parse_in_flight_bytes(&self.ingest_max_in_flight_bytes);
        let max_in_flight_bytes = errors.check("INGEST_MAX_IN_FLIGHT_BYTES", max_in_flight_bytes);
        let operator_token = operator.check(errors);
        Some(IngestConfig {
            listen: listen?,
            max_in_flight_bytes: max_in_flight_bytes?,
            operator_token: operator_token?,
        })
    }
}

fn parse_in_flight_bytes(text: &str) -> Result<usize, String> {
    /// `Room` counts blocks of 4 KiB in 32 bits.
    const MAX: usize = 1 << 40;
    match text.parse() {
        Ok(bytes @ MAX_DECODED_BYTES..=MAX) => Ok(bytes),
        Ok(_) | Err(_) => Err(format!("'{text}' is not a number of bytes from {MAX_DECODED_BYTES} to {MAX}")),
    }
}
