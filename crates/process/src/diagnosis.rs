//! Names the cause when a server can't be used: looks at its address, and tells what is there, which setting named it
//! and what mends it. Works on a failure only; a server that answers as expected is asked for its health and no more.

mod finding;
mod probe;
mod server_kind;
mod unusable;

use std::{future::Future, net::SocketAddr, pin::pin, time::Duration};

use tokio::time::timeout;
use tonic::{Code, transport::Channel};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use url::{Host, Url};

use self::finding::Found;
pub use self::{server_kind::Wanted, unusable::Unusable};
use super::grpc;

/// A server that is silent for so long is looked at, while it may still answer.
const QUIET: Duration = Duration::from_millis(700);
/// How long a question after health may take. With the look beside it a cause is told within 5 s.
const ANSWER: Duration = Duration::from_secs(4);
/// The same of a question that only tells the name of a service that answers.
const SHORT: Duration = Duration::from_secs(1);

/// A server that is asked, and the setting that names its address.
#[derive(Clone, Debug)]
pub struct Target {
    pub url: Url,
    /// Such as `INGEST_URL`, or `--ingest-url (INGEST_URL)`.
    pub setting: &'static str,
    pub wanted: Wanted,
    /// One of the addresses behind the name, where it was looked up already.
    pub instance: Option<SocketAddr>,
}

impl Target {
    /// The address without user, password and query.
    #[must_use]
    pub fn address(&self) -> String {
        let port = self.url.port().map(|port| format!(":{port}")).unwrap_or_default();
        let path = self.url.path().trim_end_matches('/');
        let instance = match (self.url.host(), self.instance) {
            (Some(Host::Domain(_)), Some(instance)) => format!(" ({})", instance.ip()),
            _ => String::new(),
        };
        format!("{}://{}{port}{path}{instance}", self.url.scheme(), self.url.host_str().unwrap_or_default())
    }

    /// The gRPC service by whose name its health is asked; of an HTTP server the whole one's, which is empty.
    #[must_use]
    pub fn service(&self) -> &'static str {
        self.wanted.service().unwrap_or_default()
    }

    /// Asks a gRPC server for its health; says within 5 s what is there instead of the one that is wanted. One that is
    /// not ready is the one that is wanted.
    ///
    /// # Errors
    /// Nothing usable is behind the address, or another service.
    pub async fn serves_grpc(&self) -> Result<(), Unusable> {
        let Ok(endpoint) = grpc::endpoint(&self.url) else { return Err(self.unusable(Found::UnknownHost)) };
        self.serves_grpc_over(endpoint.connect_lazy(), ANSWER).await
    }

    /// [`Self::serves_grpc`] over a channel to the address, that has `patience` to answer.
    ///
    /// # Errors
    /// As of [`Self::serves_grpc`].
    pub async fn serves_grpc_over(&self, channel: Channel, patience: Duration) -> Result<(), Unusable> {
        let mut asking = pin!(timeout(patience, knows(channel.clone(), self.service())));
        let (answer, found) = match timeout(QUIET, &mut asking).await {
            Ok(Ok(Ok(()))) => return Ok(()),
            Ok(answer) => (answer, probe::at(&self.url, self.instance).await),
            Err(_) => tokio::join!(asking, probe::at(&self.url, self.instance)),
        };
        match (answer, found) {
            // It is slow, and answered meanwhile.
            (Ok(Ok(())), _) => Ok(()),
            // It speaks gRPC and takes its time, or it is asked by what stands before it: the call itself tells more.
            (Err(_), Found::Http2) => Ok(()),
            (Ok(Err(code)), Found::Http2) if !is_unknown(code) => Ok(()),
            (Ok(Err(_)), Found::Http2) => Err(self.unusable(Found::Grpc(name_behind(&channel).await))),
            (_, found) => Err(self.unusable(found)),
        }
    }

    /// Looks at the address of an HTTP server that did not answer; says within 5 s what is there. `None` where it is an
    /// HTTP server.
    pub async fn is_no_http(&self) -> Option<Unusable> {
        match probe::at(&self.url, self.instance).await {
            Found::Http { .. } => None,
            Found::Http2 => {
                let mut address = self.url.clone();
                address.set_path("/");
                let channel = grpc::endpoint(&address).ok()?.connect_lazy();
                Some(self.unusable(Found::Grpc(name_behind(&channel).await)))
            }
            found => Some(self.unusable(found)),
        }
    }

    /// The name of its host can't be looked up.
    #[must_use]
    pub fn unknown_host(&self) -> Unusable {
        self.unusable(Found::UnknownHost)
    }

    /// The name server does not answer.
    #[must_use]
    pub fn silent_resolver(&self) -> Unusable {
        self.unusable(Found::SilentResolver)
    }

    /// An HTTP server answers as no Weir does, with `status` and where it leads to, if anywhere.
    #[must_use]
    pub fn foreign(&self, status: u16, redirect: Option<&str>) -> Unusable {
        self.unusable(Found::Foreign { status, redirect: redirect.map(finding::printable) })
    }

    /// The wanted HTTP server answers, and not with what it is asked for.
    #[must_use]
    pub fn refused(&self, status: u16, detail: &str) -> Unusable {
        self.unusable(Found::Refusal { status, detail: detail.to_owned() })
    }

    fn unusable(&self, found: Found) -> Unusable {
        Unusable { address: self.address(), setting: self.setting, wanted: self.wanted, found }
    }
}

/// Awaits `answer`; tells `target`'s fault where it stays silent and something else than an HTTP server is there.
///
/// # Errors
/// No HTTP server is there.
pub async fn watched<F: Future>(target: &Target, quiet: Duration, answer: F) -> Result<F::Output, Unusable> {
    let mut answer = pin!(answer);
    if let Ok(answer) = timeout(quiet, &mut answer).await {
        return Ok(answer);
    }
    tokio::select! {
        biased;
        answer = &mut answer => return Ok(answer),
        unusable = target.is_no_http() => match unusable {
            // A proxy may reach what this machine can't, and otherwise the answer fails by itself.
            Some(unusable) if !unusable.found.is_not_reached() => return Err(unusable),
            Some(_) | None => {}
        },
    }
    Ok(answer.await)
}

/// Whether a server knows a service: any state of health is a yes.
async fn knows(channel: Channel, service: &str) -> Result<(), Code> {
    let request = HealthCheckRequest { service: service.to_owned() };
    HealthClient::new(channel).check(request).await.map(drop).map_err(|status| status.code())
}

/// The codes by which a gRPC server says that it does not have a service.
fn is_unknown(code: Code) -> bool {
    matches!(code, Code::NotFound | Code::Unimplemented)
}

/// Which of Weir's services answers, if any.
async fn name_behind(channel: &Channel) -> Option<&'static str> {
    for wanted in Wanted::GRPC {
        let asking = knows(channel.clone(), wanted.service().unwrap_or_default());
        if matches!(timeout(SHORT, asking).await, Ok(Ok(()))) {
            return Some(wanted.name());
        }
    }
    None
}

#[cfg(test)]
mod tests;
