//! A TCP proxy between two processes that injects network faults.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinSet,
};

/// The condition of the network that the proxy simulates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetworkCondition {
    Normal,
    /// Existing connections end, and new ones are closed at once.
    Refuse,
    /// No byte passes, on old connections and new ones, and neither side sees an error. The bytes arrive when the
    /// condition ends.
    Blackhole,
    /// Existing connections stay silent for ever, and new ones work.
    HalfOpen,
    /// Every connection is cut after so many bytes from the client.
    ResetAfter(usize),
    /// Every chunk of data is delayed by this much.
    Latency(Duration),
}

/// A proxy on a free port in front of one address.
#[derive(Debug)]
pub struct FaultProxy {
    address: SocketAddr,
    condition: Arc<watch::Sender<NetworkCondition>>,
    _accepting: JoinSet<()>,
}

impl FaultProxy {
    /// Listens on a free port of loopback, and forwards every connection to `upstream`.
    pub async fn start(upstream: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let condition = Arc::new(watch::Sender::new(NetworkCondition::Normal));
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, upstream, Arc::clone(&condition)));
        Self { address, condition, _accepting: accepting }
    }

    /// The address that a client connects to instead of the upstream's.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes the condition of all connections, existing and new.
    pub fn set(&self, condition: NetworkCondition) {
        self.condition.send_replace(condition);
    }
}

async fn accept(
    listener: TcpListener,
    upstream: SocketAddr,
    condition: Arc<watch::Sender<NetworkCondition>>,
) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        if *condition.borrow() == NetworkCondition::Refuse {
            continue;
        }
        let Ok(server) = TcpStream::connect(upstream).await else { continue };
        connections.spawn(forward(client, server, condition.subscribe()));
        while connections.try_join_next().is_some() {}
    }
}

async fn forward(client: TcpStream, upstream: TcpStream, condition: watch::Receiver<NetworkCondition>) {
    let ((from_client, to_client), (from_upstream, to_upstream)) =
        (client.into_split(), upstream.into_split());
    let limit = match *condition.borrow() {
        NetworkCondition::ResetAfter(bytes) => bytes,
        _ => usize::MAX,
    };
    // Half-open applies to connections that existed before.
    let initial = *condition.borrow();
    let (mut ends, mut silent) = (condition.clone(), condition.clone());
    let copying = async {
        tokio::select! {
            () = copy(from_client, to_upstream, condition.clone(), limit) => {}
            () = copy(from_upstream, to_client, condition, usize::MAX) => {}
        }
    };
    tokio::pin!(copying);
    tokio::select! {
        () = &mut copying => {}
        () = until(&mut ends, |now| now != initial && matches!(now, NetworkCondition::Refuse | NetworkCondition::ResetAfter(_))) => {}
        // Keeps both sockets open: a close would be visible to both ends.
        () = until(&mut silent, |now| now == NetworkCondition::HalfOpen && initial != NetworkCondition::HalfOpen) => {
            std::future::pending().await
        }
    }
}

/// Returns when the condition matches.
async fn until(
    condition: &mut watch::Receiver<NetworkCondition>,
    matches: impl Fn(NetworkCondition) -> bool,
) {
    // The sender lives as long as the proxy, and the proxy's end aborts this task.
    condition.wait_for(|now| matches(*now)).await.ok();
}

/// Copies bytes in one direction, as the condition allows, until one side ends or the limit is reached.
async fn copy(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut condition: watch::Receiver<NetworkCondition>,
    mut limit: usize,
) {
    let mut buffer = vec![0; 16 * 1024];
    while limit > 0 {
        let most = buffer.len().min(limit);
        let Ok(read @ 1..) = from.read(&mut buffer[..most]).await else { break };
        let Ok(now) =
            condition.wait_for(|now| *now != NetworkCondition::Blackhole).await.map(|condition| *condition)
        else {
            break;
        };
        if let NetworkCondition::Latency(delay) = now {
            tokio::time::sleep(delay).await;
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            break;
        }
        limit -= read;
    }
}
