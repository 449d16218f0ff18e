//! Probes of an address over plain sockets: they find the server and its protocol.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, lookup_host},
    time::{Instant, timeout, timeout_at},
};
use url::{Host, Url};

use super::finding::Finding;

/// The longest lookup of a name, and the longest connection attempt.
const STEP_TIMEOUT: Duration = Duration::from_secs(2);
/// The longest duration of a whole probe.
const PROBE_TIMEOUT: Duration = Duration::from_secs(4);
/// A server that greets does so at once.
const GREETING_TIMEOUT: Duration = Duration::from_millis(250);
const REPLY_TIMEOUT: Duration = Duration::from_secs(1);
/// Enough bytes of an answer to recognise its server.
const MAX_ANSWER_BYTES: usize = 4 << 10;

/// PostgreSQL's SSL request: its length and its code.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// Probes an address within 4 s; probes `instance` if that is known.
pub(super) async fn at(url: &Url, instance: Option<SocketAddr>) -> Finding {
    let deadline = Instant::now() + PROBE_TIMEOUT;
    let addresses = match timeout(STEP_TIMEOUT, resolve(url, instance)).await {
        Ok(Ok(addresses)) if !addresses.is_empty() => addresses,
        Ok(_) => return Finding::UnknownHost,
        Err(_) => return Finding::SilentResolver,
    };
    let (address, stream) = match timeout(STEP_TIMEOUT, connect(&addresses)).await {
        Ok(Ok(connect)) => connect,
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => return Finding::Refused,
        Ok(Err(error)) => return Finding::Unreachable(error.to_string()),
        Err(_) => return Finding::SilentNetwork,
    };
    timeout_at(deadline, identify(url, address, stream)).await.unwrap_or(Finding::Silent)
}

async fn resolve(url: &Url, instance: Option<SocketAddr>) -> io::Result<Vec<SocketAddr>> {
    if let Some(address) = instance {
        return Ok(vec![address]);
    }
    let port = url.port_or_known_default().unwrap_or_default();
    match url.host() {
        Some(Host::Ipv4(host)) => Ok(vec![SocketAddr::from((host, port))]),
        Some(Host::Ipv6(host)) => Ok(vec![SocketAddr::from((host, port))]),
        Some(Host::Domain(name)) => Ok(lookup_host((name, port)).await?.collect()),
        None => Ok(Vec::new()),
    }
}

/// Connects to the first address that accepts a connection.
async fn connect(addresses: &[SocketAddr]) -> io::Result<(SocketAddr, TcpStream)> {
    let mut last = io::ErrorKind::AddrNotAvailable.into();
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok((*address, stream)),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Recognises a server by its greeting, its answer to HTTP, and then by its answers to other protocols.
async fn identify(url: &Url, address: SocketAddr, mut stream: TcpStream) -> Finding {
    let greeting = read(&mut stream, GREETING_TIMEOUT, 1).await;
    if let Some(finding) = Finding::by_first_bytes(&greeting.bytes) {
        return finding;
    }
    let host = url.host_str().unwrap_or_default();
    let request = format!("GET /health/live HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    let reply = match stream.write_all(request.as_bytes()).await {
        Ok(()) => read(&mut stream, REPLY_TIMEOUT, MAX_ANSWER_BYTES).await,
        Err(_) => greeting,
    };
    if let Some(finding) = Finding::by_first_bytes(&reply.bytes) {
        return finding;
    }
    let hello = client_hello();
    let (ssl, hello) = tokio::join!(exchange(address, &SSL_REQUEST), exchange(address, &hello));
    let silent = if reply.is_over { Finding::Closed } else { Finding::Silent };
    let tls = Finding::by_first_bytes(&hello).filter(|finding| *finding == Finding::Tls);
    Finding::by_ssl_answer(&ssl).or(tls).unwrap_or(silent)
}

/// Sends bytes over a new connection and returns the answer.
async fn exchange(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let Ok(Ok(mut stream)) = timeout(REPLY_TIMEOUT, TcpStream::connect(address)).await else {
        return Vec::new();
    };
    match stream.write_all(bytes).await {
        Ok(()) => read(&mut stream, REPLY_TIMEOUT, 1).await.bytes,
        Err(_) => Vec::new(),
    }
}

struct Read {
    bytes: Vec<u8>,
    /// True if the server closed the connection.
    is_over: bool,
}

/// Reads until `most` bytes are there, or `max_wait` is over.
async fn read(stream: &mut TcpStream, max_wait: Duration, most: usize) -> Read {
    let deadline = Instant::now() + max_wait;
    let mut bytes = Vec::with_capacity(MAX_ANSWER_BYTES);
    loop {
        match timeout_at(deadline, stream.read_buf(&mut bytes)).await {
            Ok(Ok(1..)) if bytes.len() < most => {}
            Ok(Ok(1..)) | Err(_) => return Read { bytes, is_over: false },
            Ok(Ok(0) | Err(_)) => return Read { bytes, is_over: true },
        }
    }
}

/// The smallest handshake that every server of TLS 1.2 and 1.3 answers, with a handshake or an alert.
fn client_hello() -> Vec<u8> {
    #[rustfmt::skip]
    const EXTENSIONS: [u8; 41] = [
        0, 10, 0, 6, 0, 4, 0, 29, 0, 23,                                // groups: x25519, secp256r1
        0, 13, 0, 12, 0, 10, 4, 3, 8, 4, 4, 1, 8, 5, 5, 1,              // signature algorithms
        0, 43, 0, 5, 4, 3, 4, 3, 3,                                     // versions: 1.3, 1.2
        0, 51, 0, 2, 0, 0,                                              // no key yet: the server asks for one
    ];
    const CIPHERS: [u8; 14] =
        [0x13, 0x01, 0x13, 0x02, 0x13, 0x03, 0xc0, 0x2b, 0xc0, 0x2f, 0xc0, 0x30, 0x00, 0x9c];
    let length = |length: usize| u16::try_from(length).unwrap_or_default().to_be_bytes();
    let body = [
        &[3, 3][..],
        // The client random. It protects no secret, because the handshake never completes.
        &[7; 32],
        &[0],
        &length(CIPHERS.len()),
        &CIPHERS,
        &[1, 0],
        &length(EXTENSIONS.len()),
        &EXTENSIONS,
    ]
    .concat();
    let handshake = [&[1, 0][..], &length(body.len()), &body].concat();
    [&[0x16, 3, 1][..], &length(handshake.len()), &handshake].concat()
}
