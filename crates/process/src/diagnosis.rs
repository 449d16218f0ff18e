//! Diagnosis of a server that can't be used: the cause, the setting that named its address, and the remedy.
//! It runs after a failure only; a healthy server gets one health check and nothing more.

mod finding;
mod probe;
mod server_kind;
mod unusable;

use std::{future::Future, net::SocketAddr, pin::pin, time::Duration};

use tokio::time::timeout;
use tonic::{Code, transport::Channel};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use url::{Host, Url};

use self::finding::Finding;
pub use self::{server_kind::ServerKind, unusable::Unusable};
use super::grpc;

/// A server that is silent for so long is probed, while it may still answer.
const PROBE_AFTER: Duration = Duration::from_millis(700);
/// The longest health check. With the probe beside it, the cause is known within 5 s.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(4);
/// The longest health check that only finds the name of a service.
const NAME_TIMEOUT: Duration = Duration::from_secs(1);

/// A server, and the setting that names its address.
#[derive(Clone, Debug)]
pub struct Target {
    pub url: Url,
    /// Such as `INGEST_URL`, or `--ingest-url (INGEST_URL)`.
    pub setting: &'static str,
    pub kind: ServerKind,
    /// One address of the host, if it was resolved already.
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

    /// The gRPC service whose health is checked. It is empty for an HTTP server, which stands for the whole
    /// server.
    #[must_use]
    pub fn service(&self) -> &'static str {
        self.kind.service().unwrap_or_default()
    }

    /// Checks that the expected gRPC service is behind the address. The diagnosis takes at most 5 s. A
    /// service that is not ready passes.
    ///
    /// # Errors
    /// The address has no usable server, or another service.
    pub async fn check_grpc(&self) -> Result<(), Unusable> {
        let Ok(endpoint) = grpc::endpoint(&self.url) else { return Err(self.unusable(Finding::UnknownHost)) };
        self.check_grpc_over(endpoint.connect_lazy(), ANSWER_TIMEOUT).await
    }

    /// [`Self::check_grpc`] over a channel to the address, which has `max_wait` to answer.
    ///
    /// # Errors
    /// As of [`Self::check_grpc`].
    pub async fn check_grpc_over(&self, channel: Channel, max_wait: Duration) -> Result<(), Unusable> {
        let mut asking = pin!(timeout(max_wait, check_service(channel.clone(), self.service())));
        let (answer, finding) = match timeout(PROBE_AFTER, &mut asking).await {
            Ok(Ok(Ok(()))) => return Ok(()),
            Ok(answer) => (answer, probe::at(&self.url, self.instance).await),
            Err(_) => tokio::join!(asking, probe::at(&self.url, self.instance)),
        };
        match (answer, finding) {
            // The server is slow, and answered meanwhile.
            (Ok(Ok(())), _) => Ok(()),
            // The server speaks gRPC and is slow, or a proxy asks for credentials. The call itself reports
            // more.
            (Err(_), Finding::Http2) => Ok(()),
            (Ok(Err(code)), Finding::Http2) if !is_unknown(code) => Ok(()),
            (Ok(Err(_)), Finding::Http2) => Err(self.unusable(Finding::Grpc(service_name(&channel).await))),
            (_, finding) => Err(self.unusable(finding)),
        }
    }

    /// Probes the address of an HTTP server that did not answer, within 5 s. Returns `None` for an HTTP
    /// server.
    pub async fn diagnose_http(&self) -> Option<Unusable> {
        match probe::at(&self.url, self.instance).await {
            Finding::Http { .. } => None,
            Finding::Http2 => {
                let mut address = self.url.clone();
                address.set_path("/");
                let channel = grpc::endpoint(&address).ok()?.connect_lazy();
                Some(self.unusable(Finding::Grpc(service_name(&channel).await)))
            }
            finding => Some(self.unusable(finding)),
        }
    }

    /// The name of the host does not resolve.
    #[must_use]
    pub fn unknown_host(&self) -> Unusable {
        self.unusable(Finding::UnknownHost)
    }

    /// The name server does not answer.
    #[must_use]
    pub fn silent_resolver(&self) -> Unusable {
        self.unusable(Finding::SilentResolver)
    }

    /// An HTTP server gives an answer that Weir never gives: its `status`, and the target of its redirect, if
    /// any.
    #[must_use]
    pub fn foreign(&self, status: u16, redirect: Option<&str>) -> Unusable {
        self.unusable(Finding::Foreign { status, redirect: redirect.map(finding::printable) })
    }

    /// The expected HTTP server refuses the request.
    #[must_use]
    pub fn refused(&self, status: u16, detail: &str) -> Unusable {
        self.unusable(Finding::Refusal { status, detail: detail.to_owned() })
    }

    fn unusable(&self, finding: Finding) -> Unusable {
        Unusable { address: self.address(), setting: self.setting, kind: self.kind, finding }
    }
}

/// Awaits `answer`. If the server is silent for `quiet`, probes it beside the wait.
///
/// # Errors
/// The address has no HTTP server.
pub async fn with_diagnosis<F: Future>(
    target: &Target,
    quiet: Duration,
    answer: F,
) -> Result<F::Output, Unusable> {
    let mut answer = pin!(answer);
    if let Ok(answer) = timeout(quiet, &mut answer).await {
        return Ok(answer);
    }
    tokio::select! {
        biased;
        answer = &mut answer => return Ok(answer),
        unusable = target.diagnose_http() => match unusable {
            // A proxy may reach an address that this machine can't reach. Otherwise the answer fails by
            // itself.
            Some(unusable) if !unusable.finding.is_not_reached() => return Err(unusable),
            Some(_) | None => {}
        },
    }
    Ok(answer.await)
}

/// Returns `Ok` if the server knows the service, in any state of health.
async fn check_service(channel: Channel, service: &str) -> Result<(), Code> {
    let request = HealthCheckRequest { service: service.to_owned() };
    HealthClient::new(channel).check(request).await.map(drop).map_err(|status| status.code())
}

/// Codes of a gRPC server that does not have the service.
fn is_unknown(code: Code) -> bool {
    matches!(code, Code::NotFound | Code::Unimplemented)
}

/// The name of the Weir service that answers, if any.
async fn service_name(channel: &Channel) -> Option<&'static str> {
    for kind in ServerKind::GRPC {
        let asking = check_service(channel.clone(), kind.service().unwrap_or_default());
        if matches!(timeout(NAME_TIMEOUT, asking).await, Ok(Ok(()))) {
            return Some(kind.name());
        }
    }
    None
}

#[cfg(test)]
mod tests;
