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
pub(super) async fn of_servers(monitors: &[Url]) -> Durability {
    let answers = join_all(monitors.iter().map(of_server)).await;
    answers.into_iter().filter(|promise| *promise != Durability::Unknown).min().unwrap_or(Durability::Unknown)
}

async fn of_server(monitor: &Url) -> Durability {
    match timeout(TIMEOUT, varz(monitor)).await {
        Ok(Ok(body)) => read(&body),
        Ok(Err(error)) => {
            tracing::debug!(%monitor, error, "a server of the journal does not say what it promises");
            Durability::Unknown
        }
        Err(_elapsed) => Durability::Unknown,
    }
}

async fn varz(monitor: &Url) -> Result<Bytes, String> {
    let url = monitor.join("varz").map_err(|error| error.to_string())?;
    let url = url.as_str().parse().map_err(|error: http::uri::InvalidUri| error.to_string())?;
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let response = client.get(url).await.map_err(|error| error.to_string())?;
    let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await;
    body.map(|body| body.to_bytes()).map_err(|error| error.to_string())
}

/// A server without JetStream keeps no journal, so that it says nothing about it.
fn read(varz: &[u8]) -> Durability {
    let varz: Option<Varz> = serde_json::from_slice(varz).ok();
    match varz.and_then(|varz| varz.jetstream?.config) {
        Some(Config { sync_always: true }) => Durability::PowerLoss,
        Some(Config { sync_always: false }) => Durability::ProcessCrash,
        None => Durability::Unknown,
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
            (r#"{"jetstream":{}}"#, Durability::Unknown),
            (r#"{"version":"2.9.0"}"#, Durability::Unknown),
            ("<html>", Durability::Unknown),
        ] {
            assert_eq!(read(varz.as_bytes()), promise, "{varz}");
        }
    }

    #[tokio::test]
    async fn nobody_to_ask_is_unknown() {
        assert_eq!(of_servers(&[]).await, Durability::Unknown);
        assert_eq!(of_servers(&["http://127.0.0.1:1".parse().unwrap()]).await, Durability::Unknown);
    }
}
