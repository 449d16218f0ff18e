//! The durability of an acknowledgement. Not every server syncs before it acknowledges, and only its monitoring port
//! reports that.

use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde::Deserialize;
use tokio::time::timeout;
use url::Url;

/// Timeout of one monitoring port, below the 2 s that a sample of readiness may take.
const TIMEOUT: Duration = Duration::from_millis(1500);
/// The most bytes of an answer. A server's answer has about 5 kB; a much longer one is from another program.
const MAX_VARZ_BYTES: usize = 1 << 20;

/// The failure that an acknowledged append survives, the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Durability {
    /// No server reports its durability.
    Unknown,
    /// A crash of the server's process, but not of its machine: the server syncs from time to time.
    ProcessCrash,
    /// A power loss: the server syncs before it acknowledges.
    PowerLoss,
}

impl Durability {
    /// All values.
    pub const ALL: [Self; 3] = [Self::Unknown, Self::ProcessCrash, Self::PowerLoss];

    /// The name in metrics and logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::ProcessCrash => "process_crash",
            Self::PowerLoss => "power_loss",
        }
    }
}

/// The durability that the servers of a journal report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DurabilityReport {
    /// The least durability that a server reports.
    pub durability: Durability,
    /// The addresses of NATS_MONITOR_URL that report none, each with the reason.
    pub without_report: Vec<String>,
    /// Whether NATS_MONITOR_URL has an address.
    pub has_monitors: bool,
}

/// The part of a server's `/varz` that reports the durability (nats-server 2.10 and later).
#[derive(Debug, Deserialize)]
struct Varz {
    jetstream: Option<JetStream>,
}

#[derive(Debug, Deserialize)]
struct JetStream {
    config: Option<Config>,
}

#[derive(Debug, Deserialize)]
struct Config {
    #[serde(default)]
    sync_always: bool,
}

impl DurabilityReport {
    /// The report of an embedded journal, which syncs its file before it acknowledges.
    pub(super) fn of_synced_file() -> Self {
        Self { durability: Durability::PowerLoss, without_report: Vec::new(), has_monitors: false }
    }
}

/// The least durability among the servers that answer. An unreachable server acknowledges nothing.
pub(super) async fn of_servers(monitors: &[Url]) -> DurabilityReport {
    let answers = join_all(monitors.iter().map(of_server)).await;
    let durability = answers.iter().filter_map(|answer| answer.as_ref().ok()).min().copied();
    DurabilityReport {
        durability: durability.unwrap_or(Durability::Unknown),
        without_report: answers.into_iter().filter_map(Result::err).collect(),
        has_monitors: !monitors.is_empty(),
    }
}

async fn of_server(monitor: &Url) -> Result<Durability, String> {
    let url = varz_url(monitor);
    let fetched = timeout(TIMEOUT, fetch(&url)).await;
    let body = fetched.unwrap_or_else(|_elapsed| Err(format!("does not answer within {TIMEOUT:?}")));
    let durability = body.and_then(|body| parse(&body));
    durability.map_err(|reason| format!("{url} {reason}"))
}

/// The URL of `/varz` below a monitoring address, which may have a path.
fn varz_url(monitor: &Url) -> Url {
    let mut url = monitor.clone();
    if !url.path().ends_with("/varz") {
        let path = format!("{}/varz", url.path().trim_end_matches('/'));
        url.set_path(&path);
    }
    url
}

async fn fetch(url: &Url) -> Result<Bytes, String> {
    if url.scheme() != "http" {
        return Err("is not asked, because it is no http:// address: name the server's http port".to_owned());
    }
    let uri = url.as_str().parse().map_err(|error: http::uri::InvalidUri| error.to_string())?;
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let response = client.get(uri).await.map_err(|error| request_error(&error))?;
    if !response.status().is_success() {
        return Err(format!("answers {}", response.status()));
    }
    let body = Limited::new(response.into_body(), MAX_VARZ_BYTES).collect().await;
    body.map(|body| body.to_bytes()).map_err(|error| format!("breaks off its answer: {error}"))
}

/// The text of a request that failed.
fn request_error(error: &hyper_util::client::legacy::Error) -> String {
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    let text = causes.map(ToString::to_string).collect::<Vec<_>>().join(": ");
    match text.to_lowercase() {
        text if text.contains("connection refused") => "refuses connections".to_owned(),
        text if text.contains("lookup") => "has a host name that can't be resolved".to_owned(),
        _ if error.is_connect() => format!("can't be reached: {text}"),
        _ => format!("speaks no HTTP: {text}"),
    }
}

/// Reads the durability from the body of `/varz`. A server without JetStream reports none.
fn parse(varz: &[u8]) -> Result<Durability, String> {
    let varz: Varz = serde_json::from_slice(varz)
        .map_err(|_| "answers something else than a nats-server's /varz".to_owned())?;
    match varz.jetstream.and_then(|jetstream| jetstream.config) {
        Some(Config { sync_always: true }) => Ok(Durability::PowerLoss),
        Some(Config { sync_always: false }) => Ok(Durability::ProcessCrash),
        None => {
            Err("is a nats-server that tells nothing of JetStream: it has none, or is older than 2.10"
                .to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_durability_of_a_server_is_its_sync_mode() {
        for (varz, durability) in [
            (
                r#"{"jetstream":{"config":{"sync_interval":120000000000,"sync_always":true}}}"#,
                Durability::PowerLoss,
            ),
            (r#"{"jetstream":{"config":{"sync_interval":120000000000}}}"#, Durability::ProcessCrash),
        ] {
            assert_eq!(parse(varz.as_bytes()), Ok(durability), "{varz}");
        }
        for (varz, text) in [
            (r#"{"jetstream":{}}"#, "JetStream"),
            (r#"{"version":"2.9.0"}"#, "2.10"),
            ("<html>", "something else"),
        ] {
            let reason = parse(varz.as_bytes()).unwrap_err();
            assert!(reason.contains(text), "{varz}: {reason}");
        }
    }

    #[test]
    fn a_monitoring_address_may_have_a_path() {
        for (monitor, expected) in [
            ("http://n1:8222", "http://n1:8222/varz"),
            ("http://n1:8222/", "http://n1:8222/varz"),
            ("http://n1:8222/varz", "http://n1:8222/varz"),
            ("http://n1/nats", "http://n1/nats/varz"),
        ] {
            assert_eq!(varz_url(&monitor.parse().unwrap()).as_str(), expected);
        }
    }

    #[tokio::test]
    async fn the_durability_is_unknown_without_an_answer() {
        let without = of_servers(&[]).await;
        assert_eq!((without.durability, without.has_monitors), (Durability::Unknown, false));
        let unreachable = of_servers(&["http://127.0.0.1:1".parse().unwrap()]).await;
        assert_eq!(unreachable.durability, Durability::Unknown);
        assert_eq!(unreachable.without_report, ["http://127.0.0.1:1/varz refuses connections"]);
    }
}
