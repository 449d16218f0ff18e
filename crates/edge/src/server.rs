//! The HTTP server: bounds on connections, on waiting for them and on ending them. `axum::serve` has no timer.

mod drain;
mod places;

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::Router;
use futures::future::{Either, select};
use http::Request;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{
        conn::auto,
        graceful::{GracefulShutdown, Watcher},
    },
};
use tokio::{
    net::{TcpListener, TcpStream},
    time,
};
use tower::ServiceExt as _;
use tracing::{debug, warn};
use weir::process::Stop;

use self::{
    drain::DrainedBody,
    places::{Occupied, Places},
};
use crate::{args::EdgeConfig, metrics::Connections};

/// Out of file handles or the like: a pause, so that accepting does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long requests in flight have at the end. All roles together have 25 s, and this one goes first.
const DRAIN: Duration = Duration::from_secs(15);
/// A peer that is gone without a word is noticed within both.
const HTTP2_KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const HTTP2_KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);
/// What HTTP/2 takes in before anybody asks for a body: it counts against no bound on bodies.
const HTTP2_STREAM_WINDOW: u32 = 256 << 10;
const HTTP2_CONNECTION_WINDOW: u32 = 1 << 20;
const HTTP2_STREAMS: u32 = 128;

/// Serves until `stop`, then finishes what is in flight.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    config: &EdgeConfig,
    connections: Connections,
    stop: Stop,
) {
    let server = Arc::new(Server { protocol: protocol(config), router, head_timeout: config.header_timeout });
    let places = Places::new(config.max_connections, connections);
    let graceful = GracefulShutdown::new();
    while let Some((stream, place)) = stop.run_until_cancelled(accept(&listener, &places)).await {
        let (server, watcher) = (Arc::clone(&server), graceful.watcher());
        tokio::spawn(async move {
            server.connection(stream, watcher).await;
            drop(place);
        });
    }
    drop(listener);
    if time::timeout(DRAIN, graceful.shutdown()).await.is_err() {
        warn!("requests were still in flight at the end and were cut off");
    }
}

fn protocol(config: &EdgeConfig) -> auto::Builder<TokioExecutor> {
    let mut protocol = auto::Builder::new(TokioExecutor::new());
    protocol
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(config.header_timeout)
        // Senders that close their writing half still read their answer.
        .half_close(true);
    protocol
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(HTTP2_KEEPALIVE_INTERVAL)
        .keep_alive_timeout(HTTP2_KEEPALIVE_TIMEOUT)
        .initial_stream_window_size(HTTP2_STREAM_WINDOW)
        .initial_connection_window_size(HTTP2_CONNECTION_WINDOW)
        .max_concurrent_streams(HTTP2_STREAMS);
    protocol
}

/// The next connection, once there is a place for it.
async fn accept(listener: &TcpListener, places: &Places) -> (TcpStream, Occupied) {
    let place = places.free().await;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return (stream, places.occupy(place)),
            Err(error) => {
                warn!(%error, "a connection was not accepted");
                time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

struct Server {
    protocol: auto::Builder<TokioExecutor>,
    router: Router,
    head_timeout: Duration,
}

impl Server {
    async fn connection(&self, stream: TcpStream, watcher: Watcher) {
        // Only latency depends on it.
        let _ = stream.set_nodelay(true);
        let spoke = Arc::new(AtomicBool::new(false));
        let service = {
            let (router, spoke) = (self.router.clone(), Arc::clone(&spoke));
            service_fn(move |request: Request<Incoming>| {
                spoke.store(true, Ordering::Relaxed);
                let answer = router.clone().oneshot(DrainedBody::of(request));
                async move { Ok::<_, Infallible>(answer.await.unwrap_or_else(|never| match never {})) }
            })
        };
        let connection = self.protocol.serve_connection(TokioIo::new(stream), service);
        let connection = Box::pin(watcher.watch(connection));
        let silence = Box::pin(self.silence(&spoke));
        let ended = match select(connection, silence).await {
            Either::Left((ended, _)) => ended,
            Either::Right(_) => return debug!("a connection never sent a request and was closed"),
        };
        if let Err(error) = ended {
            debug!(%error, "a connection ended early");
        }
    }

    /// Returns when the connection has not sent a request in time, and never once it has: hyper's own timer begins
    /// only when it knows which protocol the peer speaks.
    async fn silence(&self, spoke: &AtomicBool) {
        time::sleep(self.head_timeout).await;
        if spoke.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    }
}
