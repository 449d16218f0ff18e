//! Servers that are not part of Weir: silent ones, closing ones, TLS, and one that answers every request
//! alike.

use std::{net::Ipv4Addr, sync::Arc};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// A TLS alert: the handshake failed.
const ALERT: &[u8] = b"\x15\x03\x03\x00\x02\x02\x28";

/// A server on a free port. It stops when it is dropped.
pub(super) struct ForeignServer {
    address: String,
    task: JoinHandle<()>,
}

#[derive(Clone)]
enum Behaviour {
    Silent,
    Closing,
    Tls,
    Answering(Arc<str>),
}

impl ForeignServer {
    /// Accepts connections and sends nothing.
    pub(super) async fn silent() -> Self {
        Self::start(Behaviour::Silent).await
    }

    /// Accepts connections and closes them.
    pub(super) async fn closing() -> Self {
        Self::start(Behaviour::Closing).await
    }

    /// Answers a TLS handshake with an alert, and closes plain connections.
    pub(super) async fn tls() -> Self {
        Self::start(Behaviour::Tls).await
    }

    /// Answers every request with the same text, once per connection.
    pub(super) async fn answering(text: &str) -> Self {
        Self::start(Behaviour::Answering(text.into())).await
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    async fn start(behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(behaviour.clone().serve(stream));
            }
        });
        Self { address, task }
    }
}

impl Drop for ForeignServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Behaviour {
    async fn serve(self, mut stream: TcpStream) {
        let mut request = [0; 16 * 1024];
        match self {
            Self::Silent => while stream.read(&mut request).await.is_ok_and(|read| read > 0) {},
            Self::Closing => {}
            Self::Tls => {
                if stream.read(&mut request).await.is_ok() && request[0] == 0x16 {
                    stream.write_all(ALERT).await.ok();
                }
            }
            Self::Answering(text) => {
                if stream.read(&mut request).await.is_ok_and(|read| read > 0) {
                    stream.write_all(text.as_bytes()).await.ok();
                    stream.shutdown().await.ok();
                    while stream.read(&mut request).await.is_ok_and(|read| read > 0) {}
                }
            }
        }
    }
}
