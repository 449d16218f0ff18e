//! The edge's arguments.

use std::{net::SocketAddr, time::Duration};

use url::Url;
use weir_process::{
    args::{ConfigErrors, Environment},
    grpc,
};

const DEFAULT_PORT: u16 = 3001;

/// What the edge can be told. Numbers are texts here, so that every mistake is told at once.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Edge")]
pub struct EdgeArgs {
    /// Where webhooks and reports are served: HOST:PORT, :PORT or PORT; 0 takes a free port. By default port 3001.
    #[arg(long, env = "EDGE_LISTEN", value_name = "ADDRESS")]
    pub edge_listen: Option<String>,
    /// The ingest services, comma-separated, such as http://127.0.0.1:50051; one that does not serve is left out.
    #[arg(long, env = "INGEST_URL", value_name = "URLS")]
    pub ingest_url: Option<String>,
    /// The reporting services, comma-separated, such as http://127.0.0.1:50052; one that does not serve is left
    /// out. While none does, webhooks are taken all the same.
    #[arg(long, env = "REPORTING_URL", value_name = "URLS")]
    pub reporting_url: Option<String>,
    /// The largest body of one request in bytes, after decompression; a larger one is answered 413. So is one with
    /// more than 1,000 items and more than one for every 128 bytes of itself: no event is as short.
    #[arg(long, env = "EDGE_MAX_BODY_BYTES", default_value = "67108864", value_name = "BYTES")]
    pub edge_max_body_bytes: String,
    /// How many bytes of bodies may be held over all requests. At the cap new bodies are not read; after 30 s of
    /// that a request is answered 503. Metrics: weir_edge_body_bytes_in_flight, weir_edge_body_bytes_limit.
    #[arg(long, env = "EDGE_MAX_IN_FLIGHT_BYTES", default_value = "268435456", value_name = "BYTES")]
    pub edge_max_in_flight_bytes: String,
    /// How many connections are held open; more wait to be accepted, and the log says so. Metrics:
    /// weir_edge_connections, weir_edge_connections_limit.
    #[arg(long, env = "EDGE_MAX_CONNECTIONS", default_value = "16384", value_name = "NUMBER")]
    pub edge_max_connections: String,
    /// How long a connection may take to send the head of a request, in milliseconds: from its start for the first
    /// one, from the first byte for each further one. Then it is closed.
    #[arg(long, env = "EDGE_HEADER_TIMEOUT_MS", default_value = "30000", value_name = "MILLISECONDS")]
    pub edge_header_timeout_ms: String,
    /// How long a connection may be idle after an answer, in milliseconds, before it is closed. Load balancers that
    /// keep connections for 60 s need more than that here, or they send requests into a closed one.
    #[arg(long, env = "EDGE_IDLE_TIMEOUT_MS", default_value = "75000", value_name = "MILLISECONDS")]
    pub edge_idle_timeout_ms: String,
    /// How long a body may pause, in milliseconds, before its request is answered 408.
    #[arg(long, env = "EDGE_BODY_STALL_TIMEOUT_MS", default_value = "10000", value_name = "MILLISECONDS")]
    pub edge_body_stall_timeout_ms: String,
    /// How long a body may take in all, in milliseconds, before its request is answered 408.
    #[arg(long, env = "EDGE_BODY_TIMEOUT_MS", default_value = "120000", value_name = "MILLISECONDS")]
    pub edge_body_timeout_ms: String,
    /// How long ingest or reporting may take to answer for one request, in milliseconds, before that is answered
    /// 503.
    #[arg(long, env = "EDGE_REQUEST_TIMEOUT_MS", default_value = "30000", value_name = "MILLISECONDS")]
    pub edge_request_timeout_ms: String,
    /// What a caller's traceparent is where spans are exported: trust makes the request part of the caller's trace,
    /// link begins a trace of its own that is linked to it.
    #[arg(long, env = "EDGE_TRACE_TRUST", default_value = "trust", value_name = "NAME")]
    pub edge_trace_trust: String,
}

/// What a caller's trace context is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TraceTrust {
    /// The request is part of the caller's trace, and sampled where that is.
    Trust,
    /// The request begins a trace that is linked to the caller's.
    Link,
}

impl TraceTrust {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "trust" => Ok(Self::Trust),
            "link" => Ok(Self::Link),
            other => Err(format!("'{other}' is none of trust, link")),
        }
    }
}

/// The checked [`EdgeArgs`].
#[derive(Clone, Debug)]
pub struct EdgeConfig {
    pub listen: SocketAddr,
    /// After decompression.
    pub max_body_bytes: usize,
    /// Of bodies, over all requests; at least `max_body_bytes`.
    pub max_in_flight_bytes: usize,
    pub max_connections: usize,
    /// Of one head.
    pub header_timeout: Duration,
    /// Between an answer and the next head.
    pub idle_timeout: Duration,
    pub body_stall_timeout: Duration,
    pub body_timeout: Duration,
    pub request_timeout: Duration,
    pub trace_trust: TraceTrust,
}

/// The services behind the edge.
#[derive(Clone, Debug)]
pub struct Upstreams {
    /// Without any, webhooks are answered 503.
    pub ingest: Vec<Url>,
    /// Without any, reports are answered 503.
    pub reporting: Vec<Url>,
}

impl EdgeArgs {
    /// Checks everything but the addresses of the services behind it, which `up` knows without being told.
    pub fn check(&self, environment: Environment, mistakes: &mut ConfigErrors) -> Option<EdgeConfig> {
        let listen = environment.listen("EDGE_LISTEN", self.edge_listen.as_deref(), DEFAULT_PORT, mistakes);
        let max_body_bytes = number("EDGE_MAX_BODY_BYTES", &self.edge_max_body_bytes, mistakes);
        let max_in_flight_bytes =
            number("EDGE_MAX_IN_FLIGHT_BYTES", &self.edge_max_in_flight_bytes, mistakes);
        if max_body_bytes > max_in_flight_bytes && max_in_flight_bytes.is_some() {
            mistakes.add("EDGE_MAX_IN_FLIGHT_BYTES: is less than EDGE_MAX_BODY_BYTES, so that the largest body never fits");
        }
        let max_connections = number("EDGE_MAX_CONNECTIONS", &self.edge_max_connections, mistakes);
        let header_timeout = duration("EDGE_HEADER_TIMEOUT_MS", &self.edge_header_timeout_ms, mistakes);
        let idle_timeout = duration("EDGE_IDLE_TIMEOUT_MS", &self.edge_idle_timeout_ms, mistakes);
        let body_stall_timeout =
            duration("EDGE_BODY_STALL_TIMEOUT_MS", &self.edge_body_stall_timeout_ms, mistakes);
        let body_timeout = duration("EDGE_BODY_TIMEOUT_MS", &self.edge_body_timeout_ms, mistakes);
        let request_timeout = duration("EDGE_REQUEST_TIMEOUT_MS", &self.edge_request_timeout_ms, mistakes);
        let trace_trust = mistakes.check("EDGE_TRACE_TRUST", TraceTrust::parse(&self.edge_trace_trust));
        Some(EdgeConfig {
            listen: listen?,
            max_body_bytes: max_body_bytes?,
            max_in_flight_bytes: max_in_flight_bytes?,
            max_connections: max_connections?,
            header_timeout: header_timeout?,
            idle_timeout: idle_timeout?,
            body_stall_timeout: body_stall_timeout?,
            body_timeout: body_timeout?,
            request_timeout: request_timeout?,
            trace_trust: trace_trust?,
        })
    }

    /// Checks the addresses of the services behind an edge that runs alone.
    pub fn check_upstreams(&self, mistakes: &mut ConfigErrors) -> Option<Upstreams> {
        let ingest = addresses("INGEST_URL", self.ingest_url.as_deref(), 50_051, mistakes);
        let reporting = addresses("REPORTING_URL", self.reporting_url.as_deref(), 50_052, mistakes);
        Some(Upstreams { ingest: ingest?, reporting: reporting? })
    }
}

fn addresses(variable: &str, text: Option<&str>, port: u16, mistakes: &mut ConfigErrors) -> Option<Vec<Url>> {
    let text = text.ok_or_else(|| format!("is required, such as http://127.0.0.1:{port}"));
    mistakes.check(variable, text.and_then(grpc::addresses))
}

fn number(variable: &str, text: &str, mistakes: &mut ConfigErrors) -> Option<usize> {
    /// Sizes are counted in 32 bits of 4 KiB further on.
    const MOST: usize = 1 << 40;
    let number = text.parse().ok().filter(|number| (1..=MOST).contains(number));
    mistakes.check(variable, number.ok_or_else(|| format!("'{text}' is no whole number from 1 to {MOST}")))
}

fn duration(variable: &str, text: &str, mistakes: &mut ConfigErrors) -> Option<Duration> {
    number(variable, text, mistakes).and_then(|ms| u64::try_from(ms).ok()).map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Command {
        #[command(flatten)]
        edge: EdgeArgs,
    }

    fn check(arguments: &[&str]) -> (Option<EdgeConfig>, Option<Upstreams>, String) {
        let edge = Command::parse_from(["edge"].iter().chain(arguments)).edge;
        let mut mistakes = ConfigErrors::default();
        let config = edge.check(Environment::Development, &mut mistakes);
        let upstreams = edge.check_upstreams(&mut mistakes);
        let told = mistakes.into_result().err().map(|told| told.to_string()).unwrap_or_default();
        (config, upstreams, told)
    }

    #[test]
    fn the_services_behind_it_are_all_that_an_edge_must_be_told() {
        let (config, upstreams, told) =
            check(&["--ingest-url", "http://a:1,http://b:2", "--reporting-url", "http://c:3"]);
        assert_eq!(told, "");
        let (config, upstreams) = (config.unwrap(), upstreams.unwrap());
        assert_eq!(config.listen.to_string(), "127.0.0.1:3001");
        assert_eq!((config.max_body_bytes, config.max_in_flight_bytes), (64 << 20, 256 << 20));
        assert_eq!(config.header_timeout, Duration::from_secs(30));
        assert_eq!(config.idle_timeout, Duration::from_secs(75));
        assert_eq!((upstreams.ingest.len(), upstreams.reporting.len()), (2, 1));
    }

    #[test]
    fn every_mistake_is_told_at_once() {
        let (.., told) = check(&[
            "--edge-max-body-bytes=many",
            "--edge-header-timeout-ms=0",
            "--edge-idle-timeout-ms=0",
            "--edge-trace-trust=perhaps",
        ]);
        for variable in [
            "EDGE_MAX_BODY_BYTES",
            "EDGE_HEADER_TIMEOUT_MS",
            "EDGE_IDLE_TIMEOUT_MS",
            "EDGE_TRACE_TRUST",
            "INGEST_URL",
            "REPORTING_URL",
        ] {
            assert!(told.contains(variable), "{variable} is missing in {told}");
        }
    }

    #[test]
    fn the_largest_body_must_fit_into_the_bound_on_all() {
        let (.., told) = check(&["--ingest-url", "http://a:1", "--edge-max-in-flight-bytes", "1024"]);
        assert!(told.contains("EDGE_MAX_IN_FLIGHT_BYTES"), "{told}");
    }
}
