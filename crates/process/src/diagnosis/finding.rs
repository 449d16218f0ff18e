//! What the first bytes of a server tell: which protocol it speaks.

/// How many characters of an unknown server's words are shown.
const SHOWN: usize = 40;

/// What is behind an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    UnknownHost,
    SilentResolver,
    Refused,
    /// The operating system's words.
    Unreachable(String),
    /// No connection comes about, and none is refused.
    SilentNetwork,
    /// Connections are taken, and nothing is said.
    Silent,
    /// Connections are taken and ended.
    Closed,
    Http {
        /// Whether it tells its health as Weir does.
        weir: bool,
    },
    /// HTTP/2 alone, as gRPC servers speak it.
    Http2,
    /// HTTP/2, and the Weir that answers there.
    Grpc(Option<&'static str>),
    Tls,
    /// A well-known server of another kind, with its article.
    Server(&'static str),
    /// The first words of any other server.
    Greeting(String),
    /// A Weir's own words against a request.
    Refusal {
        status: u16,
        detail: String,
    },
    /// HTTP, but not as Weir answers.
    Foreign {
        status: u16,
        redirect: Option<String>,
    },
}

impl Found {
    /// Whether no connection came about.
    pub(super) fn is_not_reached(&self) -> bool {
        matches!(
            self,
            Self::UnknownHost
                | Self::SilentResolver
                | Self::Refused
                | Self::Unreachable(_)
                | Self::SilentNetwork
        )
    }

    /// By the first bytes that a server sends, by itself or to an HTTP/1.1 request; `None` where there are none.
    pub(super) fn by_first_bytes(bytes: &[u8]) -> Option<Self> {
        let found = match bytes {
            [] => return None,
            [b'H', b'T', b'T', b'P', b'/', ..] => by_http(&String::from_utf8_lossy(bytes)),
            [b'I', b'N', b'F', b'O', b' ', b'{', ..] => Self::Server("a NATS server"),
            // A record of TLS: an alert, or a handshake.
            [0x15 | 0x16, 3, ..] => Self::Tls,
            // A frame of HTTP/2, SETTINGS or GOAWAY, of the whole connection.
            [_, _, _, 4 | 7, _, 0, 0, 0, 0, ..] => Self::Http2,
            // A packet of MySQL: its handshake, or an error.
            [_, _, 0, 0, 10 | 0xff, ..] => Self::Server("a MySQL server"),
            [b'-', b'A'..=b'Z', ..] | [b'+', b'A'..=b'Z', ..] => Self::Server("a Redis server"),
            _ => Self::Greeting(printable(&String::from_utf8_lossy(bytes))),
        };
        Some(found)
    }

    /// By the answer to PostgreSQL's question whether TLS is spoken; `None` where it is no PostgreSQL.
    pub(super) fn by_ssl_answer(bytes: &[u8]) -> Option<Self> {
        matches!(bytes, [b'S' | b'N'] | [b'E', 0, 0, ..]).then_some(Self::Server("a PostgreSQL server"))
    }
}

/// What a status in HTTP says besides, as far as it is worth a word.
pub(super) fn meaning(status: u16) -> &'static str {
    match status {
        401 | 407 => ", which asks for a password",
        403 => ", which refuses this caller",
        404 => ", without this path",
        405 => ", which does not take this method here",
        502..=504 => ", whose backend is away",
        _ => "",
    }
}

/// The first words of a foreign server: one line, nothing that steers a terminal.
pub(super) fn printable(text: &str) -> String {
    let line = text.trim_start().lines().next().unwrap_or_default();
    line.chars()
        .take(SHOWN)
        .map(|letter| if letter.is_ascii_graphic() || letter == ' ' { letter } else { '?' })
        .collect()
}

fn by_http(answer: &str) -> Found {
    // Servers of TLS that recognise plain HTTP say so in plain HTTP.
    let answer = answer.to_ascii_lowercase();
    if answer.contains("https port") || answer.contains("https server") {
        return Found::Tls;
    }
    Found::Http { weir: answer.contains(r#"{"live":true}"#) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(bytes: &[u8]) -> Option<Found> {
        Found::by_first_bytes(bytes)
    }

    #[test]
    fn a_protocol_is_told_by_its_first_bytes() {
        for (bytes, server) in [
            (&b"INFO {\"server_id\":\"N\"}\r\n"[..], Found::Server("a NATS server")),
            (b"-ERR unknown command", Found::Server("a Redis server")),
            (b"\x4a\x00\x00\x00\x0a8.0.36\0", Found::Server("a MySQL server")),
            (b"\x15\x03\x01\x00\x02\x02\x46", Found::Tls),
            (b"\x16\x03\x03\x00\x7a\x02", Found::Tls),
            (b"\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x04", Found::Http2),
            (b"\x00\x00\x08\x07\x00\x00\x00\x00\x00\x00\x00", Found::Http2),
            (b"HTTP/1.1 200 OK\r\n\r\n{\"live\":true}", Found::Http { weir: true }),
            (b"HTTP/1.1 404 Not Found\r\n\r\n<html>", Found::Http { weir: false }),
            (b"SSH-2.0-OpenSSH_9.2\r\n", Found::Greeting("SSH-2.0-OpenSSH_9.2".into())),
        ] {
            assert_eq!(found(bytes), Some(server), "{bytes:?}");
        }
        assert_eq!(found(b""), None);
    }

    #[test]
    fn a_tls_server_that_answers_in_plain_words_is_one() {
        for body in [
            "Client sent an HTTP request to an HTTPS server.",
            "The plain HTTP request was sent to HTTPS port",
        ] {
            assert_eq!(found(format!("HTTP/1.1 400 Bad Request\r\n\r\n{body}").as_bytes()), Some(Found::Tls));
        }
    }

    #[test]
    fn postgresql_answers_with_one_letter() {
        assert_eq!(Found::by_ssl_answer(b"N"), Some(Found::Server("a PostgreSQL server")));
        assert_eq!(Found::by_ssl_answer(b"S"), Some(Found::Server("a PostgreSQL server")));
        assert_eq!(Found::by_ssl_answer(b"Not a server"), None);
        assert_eq!(Found::by_ssl_answer(b""), None);
    }

    #[test]
    fn words_of_a_stranger_do_not_steer_a_terminal() {
        assert_eq!(printable("\x1b]52;c;aGk=\x07\nnext"), "?]52;c;aGk=?");
        assert_eq!(printable(&"x".repeat(1_000)).len(), SHOWN);
    }
}
