//! A TCP proxy that stands between two processes and does what networks do.

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

/// What the network does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weather {
    Fair,
    /// Connections that are there end, and new ones are closed at once.
    Refuse,
    /// Nothing gets through, on old connections and new ones; nobody is told. Bytes arrive when it is over.
    Blackhole,
    /// Connections that were there stay silent for ever, and new ones are fair.
    HalfOpen,
    /// Every connection is cut after as many bytes of the caller's.
    ResetAfter(usize),
    /// Every piece of data comes so much later.
    Latency(Duration),
}

/// A proxy on a free port in front of one address.
#[derive(Debug)]
pub struct FaultProxy {
    address: SocketAddr,
    weather: Arc<watch::Sender<Weather>>,
    _accepting: JoinSet<()>,
}

impl FaultProxy {
    /// Stands in front of `upstream`.
    pub async fn before(upstream: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let weather = Arc::new(watch::Sender::new(Weather::Fair));
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, upstream, Arc::clone(&weather)));
        Self { address, weather, _accepting: accepting }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn set(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }
}

async fn accept(listener: TcpListener, upstream: SocketAddr, weather: Arc<watch::Sender<Weather>>) {
    let mut connections = JoinSet::new();
    while let Ok((caller, _)) = listener.accept().await {
        if *weather.borrow() == Weather::Refuse {
            continue;
        }
        let Ok(callee) = TcpStream::connect(upstream).await else { continue };
        connections.spawn(connect(caller, callee, weather.subscribe()));
        while connections.try_join_next().is_some() {}
    }
}

async fn connect(caller: TcpStream, callee: TcpStream, weather: watch::Receiver<Weather>) {
    let ((from_caller, to_caller), (from_callee, to_callee)) = (caller.into_split(), callee.into_split());
    let limit = match *weather.borrow() {
        Weather::ResetAfter(bytes) => bytes,
        _ => usize::MAX,
    };
    // Half-open is what happens to connections that were there before.
    let born = *weather.borrow();
    let (mut ends, mut silent) = (weather.clone(), weather.clone());
    let carrying = async {
        tokio::select! {
            () = carry(from_caller, to_callee, weather.clone(), limit) => {}
            () = carry(from_callee, to_caller, weather, usize::MAX) => {}
        }
    };
    tokio::pin!(carrying);
    tokio::select! {
        () = &mut carrying => {}
        () = until(&mut ends, |now| now != born && matches!(now, Weather::Refuse | Weather::ResetAfter(_))) => {}
        // What carries is kept: closing it would tell both ends.
        () = until(&mut silent, |now| now == Weather::HalfOpen && born != Weather::HalfOpen) => {
            std::future::pending().await
        }
    }
}

/// Returns when the weather is so.
async fn until(weather: &mut watch::Receiver<Weather>, is_so: impl Fn(Weather) -> bool) {
    // Where the proxy is gone, so is the task that waits here.
    weather.wait_for(|now| is_so(*now)).await.ok();
}

/// Carries bytes one way, as the weather allows, until one side ends or the limit is reached.
async fn carry(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut weather: watch::Receiver<Weather>,
    mut limit: usize,
) {
    let mut buffer = vec![0; 16 * 1024];
    while limit > 0 {
        let most = buffer.len().min(limit);
        let Ok(read @ 1..) = from.read(&mut buffer[..most]).await else { break };
        let Ok(now) = weather.wait_for(|now| *now != Weather::Blackhole).await.map(|weather| *weather) else {
            break;
        };
        if let Weather::Latency(delay) = now {
            tokio::time::sleep(delay).await;
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            break;
        }
        limit -= read;
    }
}
