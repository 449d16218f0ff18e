//! The message for a server that can't be used.

use std::fmt;

use super::{
    finding::{self, Finding},
    server_kind::ServerKind,
};

/// The reason why a server can't be used. Its text names the address, the setting and the remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Unusable {
    pub(super) address: String,
    pub(super) setting: &'static str,
    pub(super) kind: ServerKind,
    pub(super) finding: Finding,
}

impl fmt::Display for Unusable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, setting, kind, finding } = self;
        let is_grpc = kind.service().is_some();
        let (protocol, name, remedy) = (if is_grpc { "gRPC" } else { "HTTP" }, kind.name(), kind.remedy());
        match finding {
            Finding::UnknownHost => write!(
                formatter,
                "the host of {address} is unknown ({setting}): correct the name, or have it resolved"
            ),
            Finding::SilentResolver => write!(
                formatter,
                "the name server does not answer for the host of {address} ({setting}): name an address, or mend \
                 the resolver of this machine"
            ),
            Finding::Refused => {
                // A role serves its health from its start, and everything else once its dependencies are
                // there.
                let waits = match kind {
                    ServerKind::Admin => "",
                    ServerKind::Ingest | ServerKind::Reporting | ServerKind::Edge => {
                        ". One that runs listens once it has what it waits for, which its log names"
                    }
                };
                write!(
                    formatter,
                    "nothing listens at {address} ({setting}): connection refused; start {name}, or {remedy}{waits}"
                )
            }
            Finding::Unreachable(cause) => write!(
                formatter,
                "{address} can't be reached ({setting}): {cause}; correct the address, or the network between"
            ),
            Finding::SilentNetwork => write!(
                formatter,
                "{address} does not answer ({setting}): no connection in 2 s; correct the address, or open the \
                 firewall between"
            ),
            Finding::Silent => write!(
                formatter,
                "{address} takes connections and does not answer ({setting}): the process behind it hangs, or is \
                 another one; restart it, or {remedy}"
            ),
            Finding::Closed => write!(
                formatter,
                "{address} takes connections and ends them without an answer ({setting}): it is not {name}; {remedy}"
            ),
            Finding::Http { weir: true } => write!(
                formatter,
                "{address} is HTTP, not {protocol} ({setting}): the port of an edge or an ADMIN_LISTEN; {remedy}"
            ),
            Finding::Http { weir: false } => {
                write!(formatter, "{address} is HTTP, not {protocol} ({setting}): {remedy}")
            }
            Finding::Grpc(Some(other)) if is_grpc => {
                write!(formatter, "{address} is a Weir's {other}, not {name} ({setting}): {remedy}")
            }
            Finding::Grpc(None) if is_grpc => {
                write!(formatter, "{address} is gRPC of another service, not {name} ({setting}): {remedy}")
            }
            Finding::Grpc(Some(other)) => {
                write!(formatter, "{address} is gRPC, not HTTP ({setting}): a Weir's {other}; {remedy}")
            }
            Finding::Grpc(None) | Finding::Http2 => {
                write!(formatter, "{address} is gRPC, not HTTP ({setting}): {remedy}")
            }
            Finding::Tls => write!(
                formatter,
                "{address} speaks TLS, and http:// is plain ({setting}): {remedy}, or a local TLS proxy"
            ),
            Finding::Server(server) => {
                write!(formatter, "{address} is {server}, not {name} ({setting}): {remedy}")
            }
            Finding::Greeting(text) => write!(
                formatter,
                "{address} is not {name} ({setting}): it answers '{text}', which is not {protocol}; {remedy}"
            ),
            // The address is right, but its path or the method is not.
            Finding::Refusal { status: 404 | 405, detail } => {
                write!(formatter, "{name} answers at {address}: {detail} ({setting}); {remedy}")
            }
            Finding::Refusal { status, detail } => {
                write!(formatter, "{name} answers {status} at {address}: {detail} ({setting})")
            }
            Finding::Foreign { status, redirect: Some(location) } => write!(
                formatter,
                "{address} answers {status} and leads to '{location}' ({setting}): that is not {name}; {remedy}"
            ),
            Finding::Foreign { status, redirect: None } => write!(
                formatter,
                "{address} answers {status}, not as {name} does ({setting}): another web server or a proxy is there{}; \
                 {remedy}",
                finding::meaning(*status)
            ),
        }
    }
}
