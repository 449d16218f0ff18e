//! Connections that fail: names, addresses, TLS, and servers that are not PostgreSQL.

use std::io::{Error, ErrorKind};

use sqlx::postgres::PgConnectOptions;

use super::cause::{Cause, FaultKind};

const ADDRESS: &str = "check host and port in DATABASE_URL, and firewalls";

pub(super) fn cause(error: &Error, options: &PgConnectOptions) -> Cause {
    let text = error.to_string();
    if is_of_tls(&text) {
        return tls_cause(&text, options);
    }
    if text.contains("lookup address") {
        let what = format!("the host name {} is unknown ({text})", options.get_host());
        return Cause::new(
            FaultKind::Unavailable,
            what,
            "correct it in DATABASE_URL, or mend the name service",
        );
    }
    match error.kind() {
        ErrorKind::ConnectionRefused => {
            let remedy = "start the server, or correct host and port in DATABASE_URL";
            Cause::new(FaultKind::Unavailable, "nothing listens there (connection refused)", remedy)
        }
        ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => {
            let what = format!("the connection was closed without an answer ({text})");
            Cause::new(FaultKind::Unavailable, what, "see whether PostgreSQL listens there")
        }
        ErrorKind::TimedOut => Cause::new(FaultKind::Unavailable, text, ADDRESS),
        ErrorKind::NotFound => Cause::new(FaultKind::Unavailable, "there is no socket of a server", ADDRESS),
        _ => Cause::new(FaultKind::Unavailable, text, ADDRESS),
    }
}

/// Whether rustls made the error; sqlx returns it as an error of reading.
fn is_of_tls(text: &str) -> bool {
    ["certificate", "alert", "TLS", "handshake", "corrupt message"].iter().any(|word| text.contains(word))
}

pub(super) fn tls_cause(text: &str, options: &PgConnectOptions) -> Cause {
    let mode = options.get_ssl_mode();
    let (what, remedy) = if text.contains("does not support TLS") {
        let what = format!("TLS is demanded (sslmode={mode:?}) and the server offers none").to_lowercase();
        (
            what.replacen("tls", "TLS", 1),
            "turn ssl on at the server, or set sslmode=prefer in DATABASE_URL".to_owned(),
        )
    } else if ["UnknownIssuer", "BadSignature", "no root trust anchors"]
        .iter()
        .any(|word| text.contains(word))
    {
        let what = format!("the server's certificate is of an unknown authority ({text})");
        (what, format!("name its CA by sslrootcert in DATABASE_URL, or by SSL_CERT_FILE{}", unread_roots()))
    } else if text.contains("not valid for") || text.contains("NotValidForName") {
        let what = format!("the server's certificate is for another host name ({text})");
        (what, "name a host of the certificate in DATABASE_URL, or set sslmode=verify-ca".to_owned())
    } else if text.contains("CaUsedAsEndEntity") {
        let what = "the server shows the certificate of a CA as its own".to_owned();
        (what, "give the server a certificate that the CA signed".to_owned())
    } else if text.contains("xpired") || text.contains("not valid yet") || text.contains("NotValidYet") {
        (
            format!("the server's certificate is out of date ({text})"),
            "renew it, or set the clocks right".to_owned(),
        )
    } else if text.contains("alert") {
        let what = format!("the server refuses TLS ({text})");
        (what, "name a client certificate that it accepts by sslcert and sslkey in DATABASE_URL".to_owned())
    } else {
        (
            format!("TLS fails ({text})"),
            "see sslmode, sslrootcert, sslcert and sslkey in DATABASE_URL".to_owned(),
        )
    };
    Cause::new(FaultKind::Refused, what, remedy)
}

/// The reasons why root certificates of the system could not be read; empty where all were read.
fn unread_roots() -> String {
    let errors = rustls_native_certs::load_native_certs().errors;
    let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
    if errors.is_empty() { String::new() } else { format!(" (which can't be read: {})", errors.join(", ")) }
}

/// The cause behind an answer that is not PostgreSQL's: its first byte often names the server.
pub(super) fn protocol_cause(text: &str) -> Cause {
    if text.contains("uthentication") || text.contains("SASL") {
        return Cause::new(FaultKind::Refused, text, "choose scram-sha-256, md5 or cert in pg_hba.conf");
    }
    let like = if text.contains("0x48") {
        ", it answers like HTTP"
    } else if text.contains("0x49") {
        ", it answers like NATS"
    } else {
        ""
    };
    let what = format!("what listens there is not PostgreSQL{like} ({text})");
    Cause::new(FaultKind::Refused, what, "correct host and port in DATABASE_URL")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(cause: Cause) -> String {
        format!("{}: {}", cause.text, cause.remedy)
    }

    #[test]
    fn each_failure_of_tls_has_its_remedy() {
        let options = PgConnectOptions::new_without_pgpass().host("db");
        for (text, named) in [
            ("server does not support TLS", "sslmode=prefer"),
            ("invalid peer certificate: UnknownIssuer", "SSL_CERT_FILE"),
            ("invalid peer certificate: certificate not valid for name \"db\"", "another host name"),
            ("invalid peer certificate: Other(OtherError(CaUsedAsEndEntity))", "CA"),
            ("invalid peer certificate: certificate expired: verification time", "renew"),
            ("received fatal alert: CertificateRequired", "sslcert"),
        ] {
            assert!(
                text_of(cause(&Error::new(ErrorKind::InvalidData, text), &options)).contains(named)
                    || text_of(tls_cause(text, &options)).contains(named),
                "{text}"
            );
        }
    }

    #[test]
    fn a_server_of_another_kind_is_named() {
        assert!(text_of(protocol_cause("unexpected response from SSLRequest: 0x48")).contains("HTTP"));
        assert!(text_of(protocol_cause("unexpected response from SSLRequest: 0x49")).contains("NATS"));
    }
}
