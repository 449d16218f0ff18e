//! What an acknowledgement outlives: not every server syncs before it says yes, and only its monitoring port tells.

use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde::Deserialize;
use tokio::time::timeout;
use url::Url;

/// Below the 2 s that a sample of readiness may take.
const TIMEOUT: Duration = Duration::from_millis(1500);
/// An answer has about 5 kB; what is much longer is none.
const MAX_ANSWER_BYTES: usize = 1 << 20;

/// What an acknowledged append survives, the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Durability {
    /// Nobody says.
    Unknown,
    /// The end of the server's process, but not of its machine: it syncs from time to time.
    ProcessCrash,
    /// A power cut: it is on disk before it is acknowledged.
    PowerLoss,
}

impl Durability {
    /// Every one of them.
    pub const ALL: [Self; 3] = [Self::Unknown, Self::ProcessCrash, Self::PowerLoss];

    /// As metrics and logs name it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::ProcessCrash => "process_crash",
            Self::PowerLoss => "power_loss",
        }
    }
}

/// What the servers of a journal promise, as far as they say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Promise {
    /// The least that a server promises.
    pub durability: Durability,
    /// Of NATS_MONITOR_URL: each address that does not say it, and what it answered.
    pub silent: Vec<String>,
    /// Whether there is an address to ask.
    pub is_asked: bool,
}

/// The part of a server's `/varz` that says it (nats-server 2.10 and later).
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

/// The least that any of the servers promises that answer: one that is away acknowledges nothing.
pub(super) async fn of_servers(monitors: &[Url]) -> Promise {
    let answers = join_all(monitors.iter().map(of_server)).await;
    let durability = answers.iter().filter_map(|answer| answer.as_ref().ok()).min().copied();
    Promise {
        durability: durability.unwrap_or(Durability::Unknown),
        silent: answers.into_iter().filter_map(Result::err).collect(),
        is_asked: !monitors.is_empty(),
    }
}

async fn of_server(monitor: &Url) -> Result<Durability, String> {
    let url = varz_of(monitor);
    let asked = timeout(TIMEOUT, varz(&url)).await;
    let body = asked.unwrap_or_else(|_elapsed| Err(format!("does not answer within {TIMEOUT:?}")));
    let promise = body.and_then(|body| read(&body));
    promise.map_err(|reason| format!("{url} {reason}"))
}

/// The page below an address that may have a path of its own.
fn varz_of(monitor: &Url) -> Url {
    let mut url = monitor.clone();
    if !url.path().ends_with("/varz") {
        let path = format!("{}/varz", url.path().trim_end_matches('/'));
        url.set_path(&path);
    }
    url
}

async fn varz(url: &Url) -> Result<Bytes, String> {
    if url.scheme() != "http" {
        return Err("is not asked, because it is no http:// address: name the server's http port".to_owned());
    }
    let uri = url.as_str().parse().map_err(|error: http::uri::InvalidUri| error.to_string())?;
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let response = client.get(uri).await.map_err(|error| not_asked(&error))?;
    if !response.status().is_success() {
        return Err(format!("answers {}", response.status()));
    }
    let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await;
    body.map(|body| body.to_bytes()).map_err(|error| format!("breaks off its answer: {error}"))
}

fn not_asked(error: &hyper_util::client::legacy::Error) -> String {
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    let told = causes.map(ToString::to_string).collect::<Vec<_>>().join(": ");
    match told.to_lowercase() {
        told if told.contains("connection refused") => "refuses connections".to_owned(),
        told if told.contains("lookup") => "has a host name that can't be resolved".to_owned(),
        _ if error.is_connect() => format!("can't be reached: {told}"),
        _ => format!("speaks no HTTP: {told}"),
    }
}

/// A server without JetStream keeps no journal, so that it says nothing about it.
fn read(varz: &[u8]) -> Result<Durability, String> {
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
    fn a_server_promises_what_it_syncs() {
        for (varz, promise) in [
            (
                r#"{"jetstream":{"config":{"sync_interval":120000000000,"sync_always":true}}}"#,
                Durability::PowerLoss,
            ),
            (r#"{"jetstream":{"config":{"sync_interval":120000000000}}}"#, Durability::ProcessCrash),
        ] {
            assert_eq!(read(varz.as_bytes()), Ok(promise), "{varz}");
        }
        for (varz, told) in [
            (r#"{"jetstream":{}}"#, "JetStream"),
            (r#"{"version":"2.9.0"}"#, "2.10"),
            ("<html>", "something else"),
        ] {
            let reason = read(varz.as_bytes()).unwrap_err();
            assert!(reason.contains(told), "{varz}: {reason}");
        }
    }

    #[test]
    fn a_monitor_may_have_a_path_of_its_own() {
        for (monitor, asked) in [
            ("http://n1:8222", "http://n1:8222/varz"),
            ("http://n1:8222/", "http://n1:8222/varz"),
            ("http://n1:8222/varz", "http://n1:8222/varz"),
            ("http://n1/nats", "http://n1/nats/varz"),
        ] {
            assert_eq!(varz_of(&monitor.parse().unwrap()).as_str(), asked);
        }
    }

    #[tokio::test]
    async fn nobody_to_ask_is_unknown() {
        let nobody = of_servers(&[]).await;
        assert_eq!((nobody.durability, nobody.is_asked), (Durability::Unknown, false));
        let silent = of_servers(&["http://127.0.0.1:1".parse().unwrap()]).await;
        assert_eq!(silent.durability, Durability::Unknown);
        assert_eq!(silent.silent, ["http://127.0.0.1:1/varz refuses connections"]);
    }
}
