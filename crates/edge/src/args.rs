//! Arguments of the edge and their checks.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use url::Url;
use weir_process::{
    args::{ConfigErrors, Environment},
    grpc, http_guard,
};

use crate::trusted_proxies::TrustedProxies;

const DEFAULT_PORT: u16 = 3001;

/// The arguments of the edge. Numbers are texts, so that one error message names all invalid ones.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Edge")]
pub struct EdgeArgs {
    /// The address of webhooks and reports: HOST:PORT, :PORT or PORT; 0 takes a free port. By default port 3001.
    #[arg(long, env = "EDGE_LISTEN", value_name = "ADDRESS")]
    pub edge_listen: Option<String>,
    /// Further names of the edge, comma-separated and without ports, such as weir.example.com. On a loopback address it
    /// refuses a request whose Host is none of its names (421), or pages of other sites could read reports. Its own
    /// address, localhost, 127.0.0.1 and ::1 are always its names.
    #[arg(long, env = "EDGE_ALLOWED_HOSTS", value_name = "NAMES")]
    pub edge_allowed_hosts: Option<String>,
    /// The URLs of the ingest services, comma-separated, such as http://127.0.0.1:50051. An instance that does not
    /// serve gets no calls.
    #[arg(long, env = "INGEST_URL", value_name = "URLS")]
    pub ingest_url: Option<String>,
    /// The URLs of the reporting services, comma-separated, such as http://127.0.0.1:50052. An instance that does not
    /// serve gets no calls. While none serves, the edge still takes webhooks.
    #[arg(long, env = "REPORTING_URL", value_name = "URLS")]
    pub reporting_url: Option<String>,
    /// The largest body of one request in bytes, after decompression; a larger one gets 413. A body with more than
    /// 1,000 items and more than one for every 128 bytes gets 413 too: no event is so short.
    #[arg(long, env = "EDGE_MAX_BODY_BYTES", default_value = "67108864", value_name = "BYTES")]
    pub edge_max_body_bytes: String,
    /// The most bytes of bodies over all requests. At the limit the address that holds most loses its slowest bodies
    /// (503); where none is still on its way, a body waits, and gets 503 after 30 s. Metrics:
    /// weir_edge_body_bytes_in_flight, weir_edge_body_bytes_limit, weir_edge_bodies_dropped_total.
    #[arg(long, env = "EDGE_MAX_IN_FLIGHT_BYTES", default_value = "268435456", value_name = "BYTES")]
    pub edge_max_in_flight_bytes: String,
    /// The most open connections. For a further one, connections that send no request or no body are closed, first
    /// those of the address that has most of them; where none can be closed, it waits. Metrics: weir_connections,
    /// weir_connections_limit, weir_connections_closed_total.
    #[arg(long, env = "EDGE_MAX_CONNECTIONS", default_value = "16384", value_name = "NUMBER")]
    pub edge_max_connections: String,
    /// The addresses and networks of proxies whose X-Forwarded-For is believed, such as 10.0.0.0/8,::1. It decides whose
    /// slow bodies make room first.
    #[arg(long, env = "EDGE_TRUSTED_PROXIES", value_name = "NETWORKS")]
    pub edge_trusted_proxies: Option<String>,
    /// The time for the head of a request, in milliseconds: from the start of the connection for the first head, from
    /// the first byte for each later one. Then the edge closes the connection.
    #[arg(long, env = "EDGE_HEADER_TIMEOUT_MS", default_value = "30000", value_name = "MILLISECONDS")]
    pub edge_header_timeout_ms: String,
    /// The time that a connection may be idle after a response, in milliseconds, before the edge closes it. It must
    /// exceed the time that load balancers keep connections (mostly 60 s), or they send requests into closed ones.
    #[arg(long, env = "EDGE_IDLE_TIMEOUT_MS", default_value = "75000", value_name = "MILLISECONDS")]
    pub edge_idle_timeout_ms: String,
    /// The longest pause in a body, in milliseconds. Then the request gets 408.
    #[arg(long, env = "EDGE_BODY_STALL_TIMEOUT_MS", default_value = "10000", value_name = "MILLISECONDS")]
    pub edge_body_stall_timeout_ms: String,
    /// The time for a whole body, in milliseconds. Then the request gets 408.
    #[arg(long, env = "EDGE_BODY_TIMEOUT_MS", default_value = "120000", value_name = "MILLISECONDS")]
    pub edge_body_timeout_ms: String,
    /// The time that ingest or reporting may take for one request, in milliseconds. Then the request gets 503.
    #[arg(long, env = "EDGE_REQUEST_TIMEOUT_MS", default_value = "30000", value_name = "MILLISECONDS")]
    pub edge_request_timeout_ms: String,
    /// The use of a caller's traceparent where spans are exported: trust makes the request part of the caller's
    /// trace, link begins a trace of its own that links to it.
    #[arg(long, env = "EDGE_TRACE_TRUST", default_value = "trust", value_name = "NAME")]
    pub edge_trace_trust: String,
}

/// The use of a caller's trace context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TraceTrust {
    /// The request is part of the caller's trace, and is sampled where that trace is.
    Trust,
    /// The request begins a trace that links to the caller's trace.
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
    /// Names of the listener besides its own, without ports.
    pub allowed_hosts: Arc<[String]>,
    /// The limit of one body after decompression.
    pub max_body_bytes: usize,
    /// The limit of all bodies over all requests; at least `max_body_bytes`.
    pub max_in_flight_bytes: usize,
    pub max_connections: usize,
    pub trusted_proxies: TrustedProxies,
    /// The time for the head of a request.
    pub header_timeout: Duration,
    /// The time between a response and the next head.
    pub idle_timeout: Duration,
    /// The longest pause in a body.
    pub body_stall_timeout: Duration,
    /// The time for a whole body.
    pub body_timeout: Duration,
    /// The time of ingest or reporting for one request.
    pub request_timeout: Duration,
    pub trace_trust: TraceTrust,
}

/// The services behind the edge.
#[derive(Clone, Debug)]
pub struct Upstreams {
    /// If empty, webhooks get 503.
    pub ingest: Vec<Url>,
    /// If empty, reports get 503.
    pub reporting: Vec<Url>,
}

impl EdgeArgs {
    /// Checks all arguments except the URLs of the services behind the edge, which `weir up` sets itself. Adds every
    /// error to `errors`, and returns `None` where there is one.
    pub fn check(&self, environment: Environment, errors: &mut ConfigErrors) -> Option<EdgeConfig> {
        let listen = environment.listen("EDGE_LISTEN", self.edge_listen.as_deref(), DEFAULT_PORT, errors);
        let allowed_hosts = self.edge_allowed_hosts.as_deref().map(http_guard::host_names).transpose();
        let allowed_hosts = errors.check("EDGE_ALLOWED_HOSTS", allowed_hosts);
        let max_body_bytes = number("EDGE_MAX_BODY_BYTES", &self.edge_max_body_bytes, errors);
        let max_in_flight_bytes = number("EDGE_MAX_IN_FLIGHT_BYTES", &self.edge_max_in_flight_bytes, errors);
        if max_body_bytes > max_in_flight_bytes && max_in_flight_bytes.is_some() {
            errors.add("EDGE_MAX_IN_FLIGHT_BYTES: must be at least EDGE_MAX_BODY_BYTES, or the largest body never fits");
        }
        let max_connections = number("EDGE_MAX_CONNECTIONS", &self.edge_max_connections, errors);
        let trusted_proxies = TrustedProxies::parse(self.edge_trusted_proxies.as_deref().unwrap_or_default());
        let trusted_proxies = errors.check("EDGE_TRUSTED_PROXIES", trusted_proxies);
        let header_timeout = duration("EDGE_HEADER_TIMEOUT_MS", &self.edge_header_timeout_ms, errors);
        let idle_timeout = duration("EDGE_IDLE_TIMEOUT_MS", &self.edge_idle_timeout_ms, errors);
        let body_stall_timeout =
            duration("EDGE_BODY_STALL_TIMEOUT_MS", &self.edge_body_stall_timeout_ms, errors);
        let body_timeout = duration("EDGE_BODY_TIMEOUT_MS", &self.edge_body_timeout_ms, errors);
        let request_timeout = duration("EDGE_REQUEST_TIMEOUT_MS", &self.edge_request_timeout_ms, errors);
        let trace_trust = errors.check("EDGE_TRACE_TRUST", TraceTrust::parse(&self.edge_trace_trust));
        Some(EdgeConfig {
            listen: listen?,
            allowed_hosts: allowed_hosts?.unwrap_or_default().into(),
            max_body_bytes: max_body_bytes?,
            max_in_flight_bytes: max_in_flight_bytes?,
            max_connections: max_connections?,
            trusted_proxies: trusted_proxies?,
            header_timeout: header_timeout?,
            idle_timeout: idle_timeout?,
            body_stall_timeout: body_stall_timeout?,
            body_timeout: body_timeout?,
            request_timeout: request_timeout?,
            trace_trust: trace_trust?,
        })
    }

    /// Checks the URLs of the services behind an edge that runs alone, in the same way.
    pub fn check_upstreams(&self, errors: &mut ConfigErrors) -> Option<Upstreams> {
        let ingest = addresses("INGEST_URL", self.ingest_url.as_deref(), 50_051, errors);
        let reporting = addresses("REPORTING_URL", self.reporting_url.as_deref(), 50_052, errors);
        Some(Upstreams { ingest: ingest?, reporting: reporting? })
    }
}

fn addresses(variable: &str, text: Option<&str>, port: u16, errors: &mut ConfigErrors) -> Option<Vec<Url>> {
    let text = text.ok_or_else(|| format!("is required, such as http://127.0.0.1:{port}"));
    errors.check(variable, text.and_then(grpc::addresses))
}

fn number(variable: &str, text: &str, errors: &mut ConfigErrors) -> Option<usize> {
    /// `Room` counts blocks of 4 KiB in 32 bits.
    const MAX: usize = 1 << 40;
    let number = text.parse().ok().filter(|number| (1..=MAX).contains(number));
    errors.check(variable, number.ok_or_else(|| format!("'{text}' is no whole number from 1 to {MAX}")))
}

fn duration(variable: &str, text: &str, errors: &mut ConfigErrors) -> Option<Duration> {
    number(variable, text, errors).and_then(|ms| u64::try_from(ms).ok()).map(Duration::from_millis)
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
        let mut errors = ConfigErrors::default();
        let config = edge.check(Environment::Development, &mut errors);
        let upstreams = edge.check_upstreams(&mut errors);
        let message = errors.into_result().err().map(|error| error.to_string()).unwrap_or_default();
        (config, upstreams, message)
    }

    #[test]
    fn the_urls_of_the_services_are_the_only_required_arguments() {
        let (config, upstreams, message) =
            check(&["--ingest-url", "http://a:1,http://b:2", "--reporting-url", "http://c:3"]);
        assert_eq!(message, "");
        let (config, upstreams) = (config.unwrap(), upstreams.unwrap());
        assert_eq!(config.listen.to_string(), "127.0.0.1:3001");
        assert_eq!((config.max_body_bytes, config.max_in_flight_bytes), (64 << 20, 256 << 20));
        assert_eq!(config.header_timeout, Duration::from_secs(30));
        assert_eq!(config.idle_timeout, Duration::from_secs(75));
        assert_eq!((upstreams.ingest.len(), upstreams.reporting.len()), (2, 1));
    }

    #[test]
    fn one_message_names_every_invalid_argument() {
        let (.., message) = check(&[
            "--edge-max-body-bytes=many",
            "--edge-header-timeout-ms=0",
            "--edge-idle-timeout-ms=0",
            "--edge-trace-trust=perhaps",
            "--edge-allowed-hosts=weir.example:80",
        ]);
        for variable in [
            "EDGE_MAX_BODY_BYTES",
            "EDGE_HEADER_TIMEOUT_MS",
            "EDGE_IDLE_TIMEOUT_MS",
            "EDGE_TRACE_TRUST",
            "EDGE_ALLOWED_HOSTS",
            "INGEST_URL",
            "REPORTING_URL",
        ] {
            assert!(message.contains(variable), "{variable} is missing in {message}");
        }
    }

    #[test]
    fn the_largest_body_must_fit_into_the_bytes_in_flight() {
        let (.., message) = check(&["--ingest-url", "http://a:1", "--edge-max-in-flight-bytes", "1024"]);
        assert!(message.contains("EDGE_MAX_IN_FLIGHT_BYTES"), "{message}");
    }
}
