//! Looks at an address over plain sockets: who listens, and in which protocol it answers.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, lookup_host},
    time::{Instant, timeout, timeout_at},
};
use url::{Host, Url};

use super::finding::Found;

/// A name is looked up, or a connection comes about, within this.
const STEP: Duration = Duration::from_secs(2);
/// The whole look.
const LOOK: Duration = Duration::from_secs(4);
/// What greets does so at once.
const GREETING: Duration = Duration::from_millis(250);
const REPLY: Duration = Duration::from_secs(1);
/// Enough of an answer to tell whose it is, in bytes.
const ENOUGH: usize = 4 << 10;

/// PostgreSQL's question whether TLS is spoken: its length and its code.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// What is behind an address, within 4 s; at `instance`, where that is known.
pub(super) async fn at(url: &Url, instance: Option<SocketAddr>) -> Found {
    let deadline = Instant::now() + LOOK;
    let addresses = match timeout(STEP, resolved(url, instance)).await {
        Ok(Ok(addresses)) if !addresses.is_empty() => addresses,
        Ok(_) => return Found::UnknownHost,
        Err(_) => return Found::SilentResolver,
    };
    let (address, stream) = match timeout(STEP, connected(&addresses)).await {
        Ok(Ok(connected)) => connected,
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => return Found::Refused,
        Ok(Err(error)) => return Found::Unreachable(error.to_string()),
        Err(_) => return Found::SilentNetwork,
    };
    timeout_at(deadline, talk(url, address, stream)).await.unwrap_or(Found::Silent)
}

async fn resolved(url: &Url, instance: Option<SocketAddr>) -> io::Result<Vec<SocketAddr>> {
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

/// A connection to the first address that takes one.
async fn connected(addresses: &[SocketAddr]) -> io::Result<(SocketAddr, TcpStream)> {
    let mut last = io::ErrorKind::AddrNotAvailable.into();
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok((*address, stream)),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// What a server says by itself, to HTTP, and to other protocols where it has no answer to HTTP.
async fn talk(url: &Url, address: SocketAddr, mut stream: TcpStream) -> Found {
    let greeting = read(&mut stream, GREETING, 1).await;
    if let Some(found) = Found::by_first_bytes(&greeting.bytes) {
        return found;
    }
    let host = url.host_str().unwrap_or_default();
    let request = format!("GET /health/live HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    let reply = match stream.write_all(request.as_bytes()).await {
        Ok(()) => read(&mut stream, REPLY, ENOUGH).await,
        Err(_) => greeting,
    };
    if let Some(found) = Found::by_first_bytes(&reply.bytes) {
        return found;
    }
    let hello = client_hello();
    let (ssl, hello) = tokio::join!(ask(address, &SSL_REQUEST), ask(address, &hello));
    let silent = if reply.is_over { Found::Closed } else { Found::Silent };
    let tls = Found::by_first_bytes(&hello).filter(|found| *found == Found::Tls);
    Found::by_ssl_answer(&ssl).or(tls).unwrap_or(silent)
}

/// The answer of a new connection to some bytes.
async fn ask(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let Ok(Ok(mut stream)) = timeout(REPLY, TcpStream::connect(address)).await else { return Vec::new() };
    match stream.write_all(bytes).await {
        Ok(()) => read(&mut stream, REPLY, 1).await.bytes,
        Err(_) => Vec::new(),
    }
}

struct Read {
    bytes: Vec<u8>,
    /// Whether the server ended the connection.
    is_over: bool,
}

/// What comes within `patience`, until it is `enough` bytes.
async fn read(stream: &mut TcpStream, patience: Duration, enough: usize) -> Read {
    let deadline = Instant::now() + patience;
    let mut bytes = Vec::with_capacity(ENOUGH);
    loop {
        match timeout_at(deadline, stream.read_buf(&mut bytes)).await {
            Ok(Ok(1..)) if bytes.len() < enough => {}
            Ok(Ok(1..)) | Err(_) => return Read { bytes, is_over: false },
            Ok(Ok(0) | Err(_)) => return Read { bytes, is_over: true },
        }
    }
}

/// The least that every server of TLS 1.2 and 1.3 answers, with a handshake or an alert.
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
        // Its random bytes: no secret follows from them, the handshake is not finished.
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
