//! An attacker's requests: heads as they stand here, over a socket of their own.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// An answer as it came.
#[derive(Debug)]
pub(super) struct RawAnswer {
    pub(super) status: u16,
    headers: Vec<(String, String)>,
    pub(super) body: String,
}

/// Sends a request with these headers, each with its line break, and reads the answer to the end of the connection.
/// The length of the body is added unless the headers have one.
pub(super) async fn send(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &str,
    body: &str,
) -> RawAnswer {
    let length = match headers.contains("content-length") {
        true => String::new(),
        false => format!("content-length: {}\r\n", body.len()),
    };
    let head = format!("{method} {path} HTTP/1.1\r\n{headers}{length}connection: close\r\n\r\n");
    send_to(address, &(head + body)).await
}

/// Sends these bytes and reads the answer to the end of the connection.
pub(super) async fn send_to(address: SocketAddr, request: &str) -> RawAnswer {
    let mut stream = TcpStream::connect(address).await.expect("the listener accepts");
    stream.write_all(request.as_bytes()).await.expect("the listener reads");
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.expect("the listener answers");
    let text = String::from_utf8_lossy(&bytes);
    RawAnswer::parse(&text).unwrap_or_else(|| panic!("no HTTP answer: {text}"))
}

impl RawAnswer {
    fn parse(text: &str) -> Option<Self> {
        let (head, body) = text.split_once("\r\n\r\n")?;
        let (first, fields) = head.split_once("\r\n")?;
        let status = first.split(' ').nth(1)?.parse().ok()?;
        let fields = fields.lines().filter_map(|line| line.split_once(": "));
        let headers = fields.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
        Some(Self { status, headers, body: body.to_owned() })
    }

    /// The value of the first header of this name.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// Fails unless the answer is an RFC 9457 problem of this status.
    #[track_caller]
    pub(super) fn expect_problem(&self, status: u16) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let problem: Value = serde_json::from_str(&self.body).unwrap_or_default();
        assert_eq!(problem["status"], status, "{self:?}");
        assert!(problem["detail"].is_string(), "{self:?}");
    }
}
