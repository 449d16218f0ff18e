//! Servers that are not Weir's: silent ones, and such that answer everything alike.

use std::{net::Ipv4Addr, sync::Arc};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// An alert of TLS: the handshake failed.
const ALERT: &[u8] = b"\x15\x03\x03\x00\x02\x02\x28";

/// A server on a free port; gone when dropped.
pub(super) struct Stranger {
    address: String,
    task: JoinHandle<()>,
}

#[derive(Clone)]
enum Manner {
    Silent,
    Closing,
    Tls,
    Answering(Arc<str>),
}

impl Stranger {
    /// Takes connections and says nothing.
    pub(super) async fn silent() -> Self {
        Self::start(Manner::Silent).await
    }

    /// Takes connections and ends them.
    pub(super) async fn closing() -> Self {
        Self::start(Manner::Closing).await
    }

    /// Answers a handshake of TLS with an alert, and ends what speaks in plain.
    pub(super) async fn tls() -> Self {
        Self::start(Manner::Tls).await
    }

    /// Answers whatever comes with the same text, once.
    pub(super) async fn answering(text: &str) -> Self {
        Self::start(Manner::Answering(text.into())).await
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    async fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(manner.clone().serve(stream));
            }
        });
        Self { address, task }
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Manner {
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
