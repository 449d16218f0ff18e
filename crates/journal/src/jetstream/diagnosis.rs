//! The reason that a server is not connected to, in one sentence: cause, setting and remedy.

use std::time::Duration;

use serde::Deserialize;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use super::credentials;
use crate::{
    JournalError, Servers,
    servers::{Identity, Login, Server},
};

/// How long a server may take to greet: nats-server does so at once.
const GREETING_PATIENCE: Duration = Duration::from_millis(500);
/// As much of a greeting as tells what it is. `INFO` has about 500 bytes.
const GREETING_BYTES: usize = 16 * 1024;

/// What listens at an address.
#[derive(Debug, PartialEq)]
enum Listener {
    /// It can't be reached.
    Nothing,
    Nats(Info),
    /// It speaks only after its client does, and then neither HTTP.
    Silent,
    Http,
    Other,
}

/// What a nats-server says of itself before anything else.
#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
struct Info {
    tls_required: bool,
    tls_available: bool,
    tls_verify: bool,
}

/// Finds out why connecting to `server` failed with `told`, the client's own words.
pub(super) async fn of(servers: &Servers, server: &Server, told: &str) -> JournalError {
    let listener = greeting(server).await;
    let expired = match &servers.identity {
        Identity::Credentials(_) => credentials::expired_at(servers).await,
        Identity::Url | Identity::Nkey(_) => None,
    };
    let expired = expired.map(|at| format!("the JWT of NATS_CREDS expired at {at:?}: replace the file"));
    explain(servers, server, told, &listener, expired)
}

fn explain(
    servers: &Servers,
    server: &Server,
    told: &str,
    listener: &Listener,
    expired: Option<String>,
) -> JournalError {
    let has = |text: &str| told.to_lowercase().contains(&text.to_lowercase());
    let final_word = |what: String| JournalError::Unusable(format!("{server} {what}"));
    let may_heal = |what: String| JournalError::Unreachable(format!("{server} {what}"));
    match listener {
        Listener::Http => {
            return final_word(
                "answers HTTP, not NATS: name the client port in NATS_URL, which is 4222 by default"
                    .to_owned(),
            );
        }
        Listener::Other => {
            return final_word("is no nats-server: correct host and port in NATS_URL".to_owned());
        }
        Listener::Nats(_) | Listener::Silent | Listener::Nothing => {}
    }
    if has("authorization violation") {
        return final_word(format!(
            "refuses the login: {}",
            expired.unwrap_or_else(|| login(servers, server))
        ));
    }
    if has("AuthError(") || has("failed signing nonce") {
        let inner = told.split_once("AuthError(").and_then(|(_, rest)| rest.strip_suffix(')'));
        let reason = inner.unwrap_or(told);
        return JournalError::Unusable(reason.to_owned());
    }
    if let Some(what) = tls(servers, server, told, listener) {
        return final_word(what);
    }
    if has("DNS error") {
        return may_heal(
            "has a host name that can't be resolved: correct NATS_URL, or the name service".to_owned(),
        );
    }
    if has("connection refused") {
        return may_heal("refuses connections: start nats-server there, or correct NATS_URL".to_owned());
    }
    if *listener == Listener::Silent {
        return may_heal(
            "accepts a connection and says nothing: it is no nats-server, hangs, or has handshake_first: true, \
             which Weir does not support"
                .to_owned(),
        );
    }
    if has("timed out") {
        return may_heal("does not answer: check NATS_URL, and the network and firewalls between".to_owned());
    }
    may_heal(format!("can't be connected to: {told}"))
}

/// What of the login is to be mended.
fn login(servers: &Servers, server: &Server) -> String {
    match &servers.identity {
        Identity::Credentials(path) => {
            format!("the user of NATS_CREDS ({}) is unknown or revoked", path.display())
        }
        Identity::Nkey(path) => format!("the key of NATS_NKEY ({}) is unknown", path.display()),
        Identity::Url => match &server.login {
            Some(Login::User { .. }) => "user or password in NATS_URL is wrong".to_owned(),
            Some(Login::Token(_)) => "the token in NATS_URL is wrong".to_owned(),
            None => {
                "it wants one, and NATS_URL has none: write nats://USER:PASSWORD@HOST, or set NATS_CREDS, \
                     NATS_NKEY, or NATS_CERT with NATS_KEY"
                    .to_owned()
            }
        },
    }
}

/// What is wrong with TLS, where that is what is wrong.
fn tls(servers: &Servers, server: &Server, told: &str, listener: &Listener) -> Option<String> {
    let has = |text: &str| told.contains(text);
    let Listener::Nats(info) = listener else { return None };
    if !info.tls_required && !info.tls_available {
        let asks = servers.demand_tls(server);
        return asks.then(|| {
            "offers no TLS: configure tls at nats-server, or write nats:// in NATS_URL and unset NATS_CA and NATS_CERT"
                .to_owned()
        });
    }
    let what = if has("UnknownIssuer") || has("CaUsedAsEndEntity") {
        "has a certificate of an unknown CA: name the CA's PEM file in NATS_CA"
    } else if has("NotValidForName") || has("not valid for name") {
        "has a certificate for another name: write a name of the certificate in NATS_URL"
    } else if has("Expired") || has("certificate expired") {
        "has a certificate that is expired: renew it at nats-server"
    } else if has("NotValidYet") {
        "has a certificate that is not valid yet: compare the clocks"
    } else if has("invalid peer certificate") {
        return Some(format!("has a certificate that is not accepted: {told}"));
    } else if info.tls_verify && servers.certificate.is_none() {
        "demands a client certificate: set NATS_CERT and NATS_KEY"
    } else if info.tls_verify && (has("alert") || has("broken pipe") || has("reset") || has("got nothing")) {
        "does not accept the client certificate of NATS_CERT: its CA must be the server's, and it must be valid"
    } else if has("could not add certificate or key") {
        "can't be shown the client certificate: NATS_KEY must be the key of NATS_CERT"
    } else if has("could not load platform certs") {
        "can't be checked: SSL_CERT_FILE or SSL_CERT_DIR names nothing that can be read; correct it, unset it, or set NATS_CA"
    } else if has("TLS error") {
        return Some(format!("can't be spoken to by TLS: {told}; check NATS_CA, NATS_CERT and NATS_KEY"));
    } else {
        return None;
    };
    Some(what.to_owned())
}

async fn greeting(server: &Server) -> Listener {
    let host = server.host.trim_matches(['[', ']']);
    let connected = timeout(GREETING_PATIENCE, TcpStream::connect((host, server.port))).await;
    let Ok(Ok(mut stream)) = connected else { return Listener::Nothing };
    match timeout(GREETING_PATIENCE, first_line(&mut stream)).await {
        Ok(line) => classify(&line),
        Err(_elapsed) => {
            // A web server speaks when it is spoken to.
            stream.write_all(b"OPTIONS * HTTP/1.0\r\n\r\n").await.ok();
            let line = timeout(GREETING_PATIENCE, first_line(&mut stream)).await.unwrap_or_default();
            if line.starts_with(b"HTTP/") { Listener::Http } else { Listener::Silent }
        }
    }
}

async fn first_line(stream: &mut TcpStream) -> Vec<u8> {
    let mut line = Vec::new();
    while line.len() < GREETING_BYTES && !line.contains(&b'\n') {
        match stream.read_buf(&mut line).await {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
    }
    line
}

fn classify(line: &[u8]) -> Listener {
    if let Some(info) = line.strip_prefix(b"INFO ") {
        return Listener::Nats(serde_json::from_slice(info.trim_ascii()).unwrap_or_default());
    }
    match line {
        [] => Listener::Silent,
        line if line.starts_with(b"HTTP/") => Listener::Http,
        // A nats-server that is full says so in place of its greeting.
        line if line.starts_with(b"-ERR '") => Listener::Nats(Info::default()),
        _ => Listener::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(url: &str, error: &str, greeting: &str) -> String {
        let servers: Servers = url.parse().unwrap();
        let listener = classify(greeting.as_bytes());
        explain(&servers, &servers.list[0], error, &listener, None).to_string()
    }

    #[test]
    fn each_cause_names_address_setting_and_remedy() {
        const PLAIN: &str = "INFO {}\r\n";
        const TLS: &str = r#"INFO {"tls_required":true}"#;
        const VERIFY: &str = r#"INFO {"tls_required":true,"tls_verify":true}"#;
        for (url, error, greeting, parts) in [
            ("nats://n1", "authorization violation: nats", PLAIN, ["wants one", "NATS_CREDS"]),
            ("nats://a:secret@n1", "authorization violation: nats", PLAIN, ["user or password", "NATS_URL"]),
            ("nats://secret@n1", "authorization violation: nats", PLAIN, ["token", "NATS_URL"]),
            ("tls://n1", "IO error: received corrupt message", PLAIN, ["offers no TLS", "nats://"]),
            (
                "nats://n1",
                "IO error: invalid peer certificate: UnknownIssuer",
                TLS,
                ["unknown CA", "NATS_CA"],
            ),
            (
                "nats://n1",
                "IO error: invalid peer certificate: NotValidForName",
                TLS,
                ["another name", "NATS_URL"],
            ),
            (
                "nats://n1",
                "IO error: received fatal alert: CertificateRequired",
                VERIFY,
                ["client", "NATS_CERT"],
            ),
            ("nats://n1", "DNS error: failed to lookup", "", ["resolved", "NATS_URL"]),
            (
                "nats://n1",
                "IO error: Connection refused (os error 111)",
                "",
                ["start nats-server", "NATS_URL"],
            ),
            ("nats://n1", "timed out", "HTTP/1.1 400 Bad Request\r\n", ["answers HTTP", "4222"]),
            ("nats://n1", "IO error", "SSH-2.0-OpenSSH\r\n", ["no nats-server", "NATS_URL"]),
        ] {
            let sentence = told(url, error, greeting);
            for part in parts.into_iter().chain(["n1:4222"]) {
                assert!(sentence.contains(part), "{part} is missing in {sentence}");
            }
            assert!(!sentence.contains("secret"), "{sentence}");
        }
    }

    #[test]
    fn what_a_server_says_beside_the_known_causes_is_passed_on() {
        let sentence = told("nats://n1", "IO error: nats: maximum connections exceeded", "INFO {}");
        assert!(sentence.contains("maximum connections exceeded"), "{sentence}");
    }
}
