//! The message for a server that can't be used.

use std::fmt;

use super::{
    finding::{self, Found},
    server_kind::Wanted,
};

/// Why a server can't be used, for people: address, setting and remedy are in its words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Unusable {
    pub(super) address: String,
    pub(super) setting: &'static str,
    pub(super) wanted: Wanted,
    pub(super) found: Found,
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
                finding::meaning(*status)
            ),
        }
    }
}
