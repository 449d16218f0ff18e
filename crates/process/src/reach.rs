//! Names the cause when a server can't be used: looks at its address, and tells what is there, which setting named it
//! and what mends it. Works on a failure only; a server that answers as expected is asked for its health and no more.

mod found;
mod look;

use std::{fmt, future::Future, net::SocketAddr, pin::pin, time::Duration};

use tokio::time::timeout;
use tonic::{Code, transport::Channel};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use url::{Host, Url};

use self::found::Found;
use super::grpc;

/// A server that is silent for so long is looked at, while it may still answer.
const QUIET: Duration = Duration::from_millis(700);
/// How long a question after health may take. With the look beside it a cause is told within 5 s.
const ANSWER: Duration = Duration::from_secs(4);
/// The same of a question that only tells the name of a service that answers.
const SHORT: Duration = Duration::from_secs(1);

/// What a setting says is behind an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    Ingest,
    Reporting,
    /// Webhooks, reports and where an event is.
    Edge,
    /// A role's health, metrics and log level.
    Admin,
}

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

/// Why a server can't be used, for people: address, setting and remedy are in its words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Unusable {
    address: String,
    setting: &'static str,
    wanted: Wanted,
    found: Found,
}

impl Wanted {
    const GRPC: [Self; 2] = [Self::Ingest, Self::Reporting];

    fn name(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Reporting => "reporting",
            Self::Edge => "the edge",
            Self::Admin => "the role",
        }
    }

    /// The gRPC service by which its health is asked.
    fn service(self) -> Option<&'static str> {
        match self {
            Self::Ingest => Some("weir.ingest.v1.IngestService"),
            Self::Reporting => Some("weir.reporting.v1.ReportingService"),
            Self::Edge | Self::Admin => None,
        }
    }

    /// What to name instead.
    fn remedy(self) -> &'static str {
        match self {
            Self::Ingest => "name the address where ingest serves gRPC, such as http://127.0.0.1:50051",
            Self::Reporting => "name the address where reporting serves gRPC, such as http://127.0.0.1:50052",
            Self::Edge => "name the URL where the edge takes events, such as http://127.0.0.1:3001/events",
            Self::Admin => "name the address that the role has as ADMIN_LISTEN, such as 127.0.0.1:9101",
        }
    }
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
            Ok(answer) => (answer, look::at(&self.url, self.instance).await),
            Err(_) => tokio::join!(asking, look::at(&self.url, self.instance)),
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
        match look::at(&self.url, self.instance).await {
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
        self.unusable(Found::Foreign { status, redirect: redirect.map(found::printable) })
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

impl fmt::Display for Unusable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, setting, wanted, found } = self;
        let is_grpc = wanted.service().is_some();
        let (protocol, name, remedy) =
            (if is_grpc { "gRPC" } else { "HTTP" }, wanted.name(), wanted.remedy());
        match found {
            Found::UnknownHost => write!(
                formatter,
                "the host of {address} is unknown ({setting}): correct the name, or have it resolved"
            ),
            Found::SilentResolver => write!(
                formatter,
                "the name server does not answer for the host of {address} ({setting}): name an address, or mend \
                 the resolver of this machine"
            ),
            Found::Refused => {
                // What a role serves it serves when it has its servers, but for its health.
                let waits = match wanted {
                    Wanted::Admin => "",
                    Wanted::Ingest | Wanted::Reporting | Wanted::Edge => {
                        ". One that runs listens once it has what it waits for, which its log names"
                    }
                };
                write!(
                    formatter,
                    "nothing listens at {address} ({setting}): connection refused; start {name}, or {remedy}{waits}"
                )
            }
            Found::Unreachable(cause) => write!(
                formatter,
                "{address} can't be reached ({setting}): {cause}; correct the address, or the network between"
            ),
            Found::SilentNetwork => write!(
                formatter,
                "{address} does not answer ({setting}): no connection in 2 s; correct the address, or open the \
                 firewall between"
            ),
            Found::Silent => write!(
                formatter,
                "{address} takes connections and does not answer ({setting}): the process behind it hangs, or is \
                 another one; restart it, or {remedy}"
            ),
            Found::Closed => write!(
                formatter,
                "{address} takes connections and ends them without an answer ({setting}): it is not {name}; {remedy}"
            ),
            Found::Http { weir: true } => write!(
                formatter,
                "{address} is HTTP, not {protocol} ({setting}): the port of an edge or an ADMIN_LISTEN; {remedy}"
            ),
            Found::Http { weir: false } => {
                write!(formatter, "{address} is HTTP, not {protocol} ({setting}): {remedy}")
            }
            Found::Grpc(Some(other)) if is_grpc => {
                write!(formatter, "{address} is a Weir's {other}, not {name} ({setting}): {remedy}")
            }
            Found::Grpc(None) if is_grpc => {
                write!(formatter, "{address} is gRPC of another service, not {name} ({setting}): {remedy}")
            }
            Found::Grpc(Some(other)) => {
                write!(formatter, "{address} is gRPC, not HTTP ({setting}): a Weir's {other}; {remedy}")
            }
            Found::Grpc(None) | Found::Http2 => {
                write!(formatter, "{address} is gRPC, not HTTP ({setting}): {remedy}")
            }
            Found::Tls => write!(
                formatter,
                "{address} speaks TLS, and http:// is plain ({setting}): {remedy}, or a local TLS proxy"
            ),
            Found::Server(server) => {
                write!(formatter, "{address} is {server}, not {name} ({setting}): {remedy}")
            }
            Found::Greeting(text) => write!(
                formatter,
                "{address} is not {name} ({setting}): it answers '{text}', which is not {protocol}; {remedy}"
            ),
            // The address is right, and a path or a method of it is not.
            Found::Refusal { status: 404 | 405, detail } => {
                write!(formatter, "{name} answers at {address}: {detail} ({setting}); {remedy}")
            }
            Found::Refusal { status, detail } => {
                write!(formatter, "{name} answers {status} at {address}: {detail} ({setting})")
            }
            Found::Foreign { status, redirect: Some(location) } => write!(
                formatter,
                "{address} answers {status} and leads to '{location}' ({setting}): that is not {name}; {remedy}"
            ),
            Found::Foreign { status, redirect: None } => write!(
                formatter,
                "{address} answers {status}, not as {name} does ({setting}): another web server or a proxy is there{}; \
                 {remedy}",
                found::meaning(*status)
            ),
        }
    }
}

#[cfg(test)]
mod tests;
