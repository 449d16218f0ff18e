//! The NATS servers of a journal: addresses, logins and files.

use std::{fmt, path::PathBuf, str::FromStr};

use percent_encoding::percent_decode_str;
use url::Url;

/// The port of a nats-server where its address names none.
const DEFAULT_PORT: u16 = 4222;

/// The servers of a journal, and a client's identity. `Display` and `Debug` show addresses and no secret.
#[derive(Clone)]
pub struct Servers {
    /// At least one.
    pub(super) list: Vec<Server>,
    pub(super) identity: ClientIdentity,
    /// NATS_CA: a PEM file, read at each connection. Without it the client trusts the system's roots.
    pub(super) ca: Option<PathBuf>,
    /// NATS_CERT and NATS_KEY: PEM files, read at each connection.
    pub(super) certificate: Option<(PathBuf, PathBuf)>,
    /// NATS_JETSTREAM_DOMAIN.
    pub(super) domain: Option<String>,
}

/// The proof of a client's identity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ClientIdentity {
    /// The user part of each server's URL, if it has one.
    #[default]
    Url,
    /// NATS_CREDS: a file with a user's JWT and seed, read at each connection.
    Credentials(PathBuf),
    /// NATS_NKEY: a file with a user's seed, read at each connection.
    Nkey(PathBuf),
}

/// One server of the list.
#[derive(Clone)]
pub(super) struct Server {
    pub(super) host: String,
    pub(super) port: u16,
    /// Whether its scheme is tls.
    tls: bool,
    pub(super) login: Option<Login>,
}

/// The user part of a URL, decoded.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Login {
    User { name: String, password: String },
    Token(String),
}

/// The reason that NATS_URL can't be used. The text names the part and repeats nothing that may be a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("server {number} of {count} {reason}")]
pub struct ServersError {
    /// The number of the server in the list, from 1.
    number: usize,
    count: usize,
    reason: &'static str,
}

impl Servers {
    /// The same servers with another identity than that of their URLs.
    #[must_use]
    pub fn with_identity(self, identity: ClientIdentity) -> Self {
        Self { identity, ..self }
    }

    /// The same servers, whose certificates a CA of this PEM file has signed.
    #[must_use]
    pub fn with_ca(self, ca: PathBuf) -> Self {
        Self { ca: Some(ca), ..self }
    }

    /// The same servers, to which the client presents the certificate of the first PEM file. The second file has its key.
    #[must_use]
    pub fn with_client_certificate(self, certificate: PathBuf, key: PathBuf) -> Self {
        Self { certificate: Some((certificate, key)), ..self }
    }

    /// The same servers, with the journal in this JetStream domain.
    #[must_use]
    pub fn with_domain(self, domain: String) -> Self {
        Self { domain: Some(domain), ..self }
    }

    /// Whether any URL has a user part.
    #[must_use]
    pub fn have_logins(&self) -> bool {
        self.list.iter().any(|server| server.login.is_some())
    }

    /// Whether a connection to a server must be encrypted. Files for TLS require it too, so that the client sends no login in
    /// the clear to a server without TLS.
    pub(super) fn require_tls(&self, server: &Server) -> bool {
        server.tls || self.ca.is_some() || self.certificate.is_some()
    }
}

impl FromStr for Servers {
    type Err = ServersError;

    fn from_str(text: &str) -> Result<Self, ServersError> {
        let parts: Vec<&str> = text.split(',').map(str::trim).collect();
        let count = parts.len();
        let servers = parts.into_iter().enumerate().map(|(index, part)| {
            Server::parse(part).map_err(|reason| ServersError { number: index + 1, count, reason })
        });
        let list = servers.collect::<Result<_, _>>()?;
        Ok(Self { list, identity: ClientIdentity::default(), ca: None, certificate: None, domain: None })
    }
}

impl fmt::Display for Servers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, server) in self.list.iter().enumerate() {
            write!(formatter, "{}{server}", if index == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

impl fmt::Debug for Servers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Servers({self})")
    }
}

impl Server {
    fn parse(text: &str) -> Result<Self, &'static str> {
        if text.is_empty() {
            return Err("is empty: remove the comma beside it");
        }
        let rest = text
            .strip_prefix("nats://")
            .or_else(|| text.strip_prefix("tls://"))
            .ok_or("must start with nats:// or tls:// (a comma in a password is written %2C)")?;
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if rest[authority.len()..].contains('@') {
            return Err("has a /, ? or # in its user or password: write %2F, %3F or %23");
        }
        let url = Url::parse(text).map_err(|error| match error {
            url::ParseError::InvalidPort => {
                "has a port that is no number up to 65535 (a comma in a password is written %2C)"
            }
            _ => "is no address such as nats://127.0.0.1:4222",
        })?;
        let host = url.host_str().filter(|host| !host.is_empty());
        let host = host.ok_or("names no host: write an address such as nats://127.0.0.1:4222")?;
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err("has a path, a query or a fragment: end it after the port");
        }
        Ok(Self {
            host: host.to_owned(),
            port: url.port().unwrap_or(DEFAULT_PORT),
            tls: url.scheme() == "tls",
            login: authority.rsplit_once('@').map(|(user, _)| Login::parse(user)).transpose()?.flatten(),
        })
    }
}

/// Omits the login.
impl fmt::Display for Server {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, tls, .. } = self;
        write!(formatter, "{}://{host}:{port}", if *tls { "tls" } else { "nats" })
    }
}

impl Login {
    /// Parses a user part. Without a colon it is a token, as in every client of NATS.
    fn parse(user: &str) -> Result<Option<Self>, &'static str> {
        Ok(match user.split_once(':') {
            Some((name, password)) => Some(Self::User { name: decode(name)?, password: decode(password)? }),
            None if user.is_empty() => None,
            None => Some(Self::Token(decode(user)?)),
        })
    }
}

/// Decodes the percent escapes of a user part.
fn decode(text: &str) -> Result<String, &'static str> {
    let escapes_two_digits =
        |part: &str| part.len() >= 2 && part.bytes().take(2).all(|byte| byte.is_ascii_hexdigit());
    if !text.split('%').skip(1).all(escapes_two_digits) {
        return Err("has a % in its user or password that starts no escape: write %25");
    }
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map(|text| text.into_owned()).map_err(|_| "has a user or password that is no UTF-8")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logins(text: &str) -> Vec<Option<Login>> {
        text.parse::<Servers>().unwrap().list.into_iter().map(|server| server.login).collect()
    }

    fn user(name: &str, password: &str) -> Option<Login> {
        Some(Login::User { name: name.into(), password: password.into() })
    }

    #[test]
    fn the_user_part_of_each_server_is_decoded() {
        assert!(logins("nats://127.0.0.1:4222").into_iter().eq([None]));
        assert!(logins("nats://a:b@n1:4222,tls://tok%2Fen@n2, nats://n3/").into_iter().eq([
            user("a", "b"),
            Some(Login::Token("tok/en".into())),
            None
        ]));
        assert!(logins("nats://us%40er:p%2Fa%25s%3As@n1").into_iter().eq([user("us@er", "p/a%s:s")]));
        assert!(logins("nats://us:p@ss:word@n1").into_iter().eq([user("us", "p@ss:word")]));
        assert!(logins("nats://us:@n1").into_iter().eq([user("us", "")]));
    }

    #[test]
    fn addresses_are_shown_without_logins() {
        let servers: Servers = "nats://a:secret@n1,tls://secret@[::1]:4333".parse().unwrap();
        assert_eq!(servers.to_string(), "nats://n1:4222, tls://[::1]:4333");
        assert_eq!(format!("{servers:?}"), "Servers(nats://n1:4222, tls://[::1]:4333)");
    }

    #[test]
    fn an_error_names_the_number_of_the_server_and_repeats_no_text() {
        for (text, expected) in [
            ("nats://n1,", "server 2 of 2 is empty"),
            (",nats://n1", "server 1 of 2 is empty"),
            ("n1:4222", "server 1 of 1 must start with nats://"),
            ("http://n1:4222", "server 1 of 1 must start with nats://"),
            ("nats://us:sec,ret@n1", "server 1 of 2 has a port"),
            ("nats://us:sec/ret@n1", "write %2F"),
            ("nats://us:sec#ret@n1", "%23"),
            ("nats://us:sec%ret@n1", "write %25"),
            ("nats://us:sec%ffret@n1", "no UTF-8"),
            ("nats://n1:port", "server 1 of 1 has a port"),
            ("nats://n1:70000", "server 1 of 1 has a port"),
            ("nats://us:secret@", "server 1 of 1"),
            ("nats://n1:4222/events", "has a path"),
            ("nats://n1?tls=true", "a query"),
        ] {
            let error = text.parse::<Servers>().unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
            assert!(!error.contains("ret"), "{text}: {error}");
        }
    }
}
