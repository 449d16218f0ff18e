//! The server behind an address, recognised by its first bytes.

/// The largest number of characters of an unknown server's text that a message shows.
const MAX_SHOWN_CHARACTERS: usize = 40;

/// The state of an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    UnknownHost,
    SilentResolver,
    Refused,
    /// The error of the operating system.
    Unreachable(String),
    /// The network neither makes nor refuses a connection.
    SilentNetwork,
    /// The server accepts connections and sends nothing.
    Silent,
    /// The server accepts connections and closes them.
    Closed,
    Http {
        /// True if it reports its health as Weir does.
        weir: bool,
    },
    /// HTTP/2 only, as gRPC servers speak it.
    Http2,
    /// HTTP/2, and the Weir service that answers, if any.
    Grpc(Option<&'static str>),
    Tls,
    /// A well-known server of another kind, with its article.
    Server(&'static str),
    /// The first text of any other server.
    Greeting(String),
    /// A Weir server refused the request with this text.
    Refusal {
        status: u16,
        detail: String,
    },
    /// HTTP, but not an answer of Weir.
    Foreign {
        status: u16,
        redirect: Option<String>,
    },
}

impl Finding {
    /// Returns true if no connection was made.
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

    /// Recognises a server by its first bytes, sent spontaneously or as an answer to an HTTP/1.1 request.
    /// `None` if there are none.
    pub(super) fn by_first_bytes(bytes: &[u8]) -> Option<Self> {
        let finding = match bytes {
            [] => return None,
            [b'H', b'T', b'T', b'P', b'/', ..] => by_http(&String::from_utf8_lossy(bytes)),
            [b'I', b'N', b'F', b'O', b' ', b'{', ..] => Self::Server("a NATS server"),
            // A TLS record: an alert, or a handshake.
            [0x15 | 0x16, 3, ..] => Self::Tls,
            // An HTTP/2 frame of the whole connection: SETTINGS or GOAWAY.
            [_, _, _, 4 | 7, _, 0, 0, 0, 0, ..] => Self::Http2,
            // A MySQL packet: a handshake, or an error.
            [_, _, 0, 0, 10 | 0xff, ..] => Self::Server("a MySQL server"),
            [b'-', b'A'..=b'Z', ..] | [b'+', b'A'..=b'Z', ..] => Self::Server("a Redis server"),
            _ => Self::Greeting(printable(&String::from_utf8_lossy(bytes))),
        };
        Some(finding)
    }

    /// Recognises PostgreSQL by its answer to an SSL request; `None` for any other server.
    pub(super) fn by_ssl_answer(bytes: &[u8]) -> Option<Self> {
        matches!(bytes, [b'S' | b'N'] | [b'E', 0, 0, ..]).then_some(Self::Server("a PostgreSQL server"))
    }
}

/// Explains an HTTP status, if it needs an explanation.
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

/// The first line of a foreign server's text, without control characters that steer a terminal.
pub(super) fn printable(text: &str) -> String {
    let line = text.trim_start().lines().next().unwrap_or_default();
    line.chars()
        .take(MAX_SHOWN_CHARACTERS)
        .map(|letter| if letter.is_ascii_graphic() || letter == ' ' { letter } else { '?' })
        .collect()
}

fn by_http(answer: &str) -> Finding {
    // TLS servers that recognise plain HTTP answer so in plain HTTP.
    let answer = answer.to_ascii_lowercase();
    if answer.contains("https port") || answer.contains("https server") {
        return Finding::Tls;
    }
    Finding::Http { weir: answer.contains(r#"{"live":true}"#) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(bytes: &[u8]) -> Option<Finding> {
        Finding::by_first_bytes(bytes)
    }

    #[test]
    fn a_protocol_is_recognised_by_its_first_bytes() {
        for (bytes, server) in [
            (&b"INFO {\"server_id\":\"N\"}\r\n"[..], Finding::Server("a NATS server")),
            (b"-ERR unknown command", Finding::Server("a Redis server")),
            (b"\x4a\x00\x00\x00\x0a8.0.36\0", Finding::Server("a MySQL server")),
            (b"\x15\x03\x01\x00\x02\x02\x46", Finding::Tls),
            (b"\x16\x03\x03\x00\x7a\x02", Finding::Tls),
            (b"\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x04", Finding::Http2),
            (b"\x00\x00\x08\x07\x00\x00\x00\x00\x00\x00\x00", Finding::Http2),
            (b"HTTP/1.1 200 OK\r\n\r\n{\"live\":true}", Finding::Http { weir: true }),
            (b"HTTP/1.1 404 Not Found\r\n\r\n<html>", Finding::Http { weir: false }),
            (b"SSH-2.0-OpenSSH_9.2\r\n", Finding::Greeting("SSH-2.0-OpenSSH_9.2".into())),
        ] {
            assert_eq!(finding(bytes), Some(server), "{bytes:?}");
        }
        assert_eq!(finding(b""), None);
    }

    #[test]
    fn a_tls_server_that_answers_in_plain_http_is_recognised() {
        for body in [
            "Client sent an HTTP request to an HTTPS server.",
            "The plain HTTP request was sent to HTTPS port",
        ] {
            assert_eq!(
                finding(format!("HTTP/1.1 400 Bad Request\r\n\r\n{body}").as_bytes()),
                Some(Finding::Tls)
            );
        }
    }

    #[test]
    fn postgresql_answers_with_one_letter() {
        assert_eq!(Finding::by_ssl_answer(b"N"), Some(Finding::Server("a PostgreSQL server")));
        assert_eq!(Finding::by_ssl_answer(b"S"), Some(Finding::Server("a PostgreSQL server")));
        assert_eq!(Finding::by_ssl_answer(b"Not a server"), None);
        assert_eq!(Finding::by_ssl_answer(b""), None);
    }

    #[test]
    fn text_of_an_unknown_server_does_not_steer_a_terminal() {
        assert_eq!(printable("\x1b]52;c;aGk=\x07\nnext"), "?]52;c;aGk=?");
        assert_eq!(printable(&"x".repeat(1_000)).len(), MAX_SHOWN_CHARACTERS);
    }
}
