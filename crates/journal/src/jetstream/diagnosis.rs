//! The diagnosis of a failed connection, in one sentence: cause, setting and remedy.

use std::time::Duration;

use serde::Deserialize;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use super::credentials;
use crate::{
    error::JournalError,
    servers::{ClientIdentity, Login, Server, Servers},
};

/// Timeout of a server's greeting. nats-server sends it at once.
const GREETING_TIMEOUT: Duration = Duration::from_millis(500);
/// The most bytes of a greeting that are read. `INFO` has about 500 bytes.
const GREETING_BYTES: usize = 16 * 1024;

/// The kind of server that listens at an address.
#[derive(Debug, PartialEq)]
enum Listener {
    /// The address can't be reached.
    Nothing,
    Nats(Info),
    /// The server sends no greeting, and answers no HTTP request.
    Silent,
    Http,
    Other,
}

/// The greeting of a nats-server.
#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
struct Info {
    tls_required: bool,
    tls_available: bool,
    tls_verify: bool,
}

/// Finds the cause of a connection to `server` that failed with `message`, the text of the client's error.
pub(super) async fn diagnose(servers: &Servers, server: &Server, message: &str) -> JournalError {
    let listener = greet(server).await;
    let expired = match &servers.identity {
        ClientIdentity::Credentials(_) => credentials::expired_at(servers).await,
        ClientIdentity::Url | ClientIdentity::Nkey(_) => None,
    };
    let expired = expired.map(|at| format!("the JWT of NATS_CREDS expired at {at:?}: replace the file"));
    explain(servers, server, message, &listener, expired)
}

fn explain(
    servers: &Servers,
    server: &Server,
    message: &str,
    listener: &Listener,
    expired: Option<String>,
) -> JournalError {
    let has = |text: &str| message.to_lowercase().contains(&text.to_lowercase());
    let unusable = |problem: String| JournalError::Unusable(format!("{server} {problem}"));
    let unreachable = |problem: String| JournalError::Unreachable(format!("{server} {problem}"));
    match listener {
        Listener::Http => {
            return unusable(
                "answers HTTP, not NATS: name the client port in NATS_URL, which is 4222 by default"
                    .to_owned(),
            );
        }
        Listener::Other => {
            return unusable("is no nats-server: correct host and port in NATS_URL".to_owned());
        }
        Listener::Nats(_) | Listener::Silent | Listener::Nothing => {}
    }
    if has("authorization violation") {
        return unusable(format!(
            "refuses the login: {}",
            expired.unwrap_or_else(|| login_problem(servers, server))
        ));
    }
    if has("AuthError(") || has("failed signing nonce") {
        let inner = message.split_once("AuthError(").and_then(|(_, rest)| rest.strip_suffix(')'));
        let reason = inner.unwrap_or(message);
        return JournalError::Unusable(reason.to_owned());
    }
    if let Some(problem) = tls_problem(servers, server, message, listener) {
        return unusable(problem);
    }
    if has("DNS error") {
        return unreachable(
            "has a host name that can't be resolved: correct NATS_URL, or the name service".to_owned(),
        );
    }
    if has("connection refused") {
        return unreachable("refuses connections: start nats-server there, or correct NATS_URL".to_owned());
    }
    if *listener == Listener::Silent {
        return unreachable(
            "accepts a connection and says nothing: it is no nats-server, hangs, or has handshake_first: true, \
             which Weir does not support"
                .to_owned(),
        );
    }
    if has("timed out") {
        return unreachable(
            "does not answer: check NATS_URL, and the network and firewalls between".to_owned(),
        );
    }
    unreachable(format!("can't be connected to: {message}"))
}

/// The reason that the server refuses the login.
fn login_problem(servers: &Servers, server: &Server) -> String {
    match &servers.identity {
        ClientIdentity::Credentials(path) => {
            format!("the user of NATS_CREDS ({}) is unknown or revoked", path.display())
        }
        ClientIdentity::Nkey(path) => format!("the key of NATS_NKEY ({}) is unknown", path.display()),
        ClientIdentity::Url => match &server.login {
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

/// The problem with TLS; `None` if there is another problem.
fn tls_problem(servers: &Servers, server: &Server, message: &str, listener: &Listener) -> Option<String> {
    let has = |text: &str| message.contains(text);
    let Listener::Nats(info) = listener else { return None };
    if !info.tls_required && !info.tls_available {
        return servers.require_tls(server).then(|| {
            "offers no TLS: configure tls at nats-server, or write nats:// in NATS_URL and unset NATS_CA and NATS_CERT"
                .to_owned()
        });
    }
    let problem = if has("UnknownIssuer") || has("CaUsedAsEndEntity") {
        "has a certificate of an unknown CA: name the CA's PEM file in NATS_CA"
    } else if has("NotValidForName") || has("not valid for name") {
        "has a certificate for another name: write a name of the certificate in NATS_URL"
    } else if has("Expired") || has("certificate expired") {
        "has a certificate that is expired: renew it at nats-server"
    } else if has("NotValidYet") {
        "has a certificate that is not valid yet: compare the clocks"
    } else if has("invalid peer certificate") {
        return Some(format!("has a certificate that is not accepted: {message}"));
    } else if info.tls_verify && servers.certificate.is_none() {
        "demands a client certificate: set NATS_CERT and NATS_KEY"
    } else if info.tls_verify && (has("alert") || has("broken pipe") || has("reset") || has("got nothing")) {
        "does not accept the client certificate of NATS_CERT: its CA must be the server's, and it must be valid"
    } else if has("could not add certificate or key") {
        "can't be shown the client certificate: NATS_KEY must be the key of NATS_CERT"
    } else if has("could not load platform certs") {
        "can't be checked: SSL_CERT_FILE or SSL_CERT_DIR names nothing that can be read; correct it, unset it, or set NATS_CA"
    } else if has("TLS error") {
        return Some(format!("can't be spoken to by TLS: {message}; check NATS_CA, NATS_CERT and NATS_KEY"));
    } else {
        return None;
    };
    Some(problem.to_owned())
}

/// Connects to a server and reads its greeting.
async fn greet(server: &Server) -> Listener {
    let host = server.host.trim_matches(['[', ']']);
    let connected = timeout(GREETING_TIMEOUT, TcpStream::connect((host, server.port))).await;
    let Ok(Ok(mut stream)) = connected else { return Listener::Nothing };
    match timeout(GREETING_TIMEOUT, first_line(&mut stream)).await {
        Ok(line) => classify(&line),
        Err(_elapsed) => {
            // A web server answers only a request.
            stream.write_all(b"OPTIONS * HTTP/1.0\r\n\r\n").await.ok();
            let line = timeout(GREETING_TIMEOUT, first_line(&mut stream)).await.unwrap_or_default();
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
        // A nats-server without room for clients sends this error instead of its greeting.
        line if line.starts_with(b"-ERR '") => Listener::Nats(Info::default()),
        _ => Listener::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explained(url: &str, error: &str, greeting: &str) -> String {
        let servers: Servers = url.parse().unwrap();
        let listener = classify(greeting.as_bytes());
        explain(&servers, &servers.list[0], error, &listener, None).to_string()
    }

    #[test]
    fn each_diagnosis_names_address_setting_and_remedy() {
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
            let sentence = explained(url, error, greeting);
            for part in parts.into_iter().chain(["n1:4222"]) {
                assert!(sentence.contains(part), "{part} is missing in {sentence}");
            }
            assert!(!sentence.contains("secret"), "{sentence}");
        }
    }

    #[test]
    fn an_unknown_error_of_a_server_is_passed_on() {
        let sentence = explained("nats://n1", "IO error: nats: maximum connections exceeded", "INFO {}");
        assert!(sentence.contains("maximum connections exceeded"), "{sentence}");
    }
}
