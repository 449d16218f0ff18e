//! The HTTP connections of the edge: accepts them up to a limit, serves them, and closes slow and idle ones.
//!
//! `axum::serve` has no timeouts, so the edge runs hyper's connections itself.

mod activity;
mod connection_limit;
mod drained_body;

use std::{convert::Infallible, pin::pin, sync::Arc, time::Duration};

use axum::Router;
use http::Request;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    time::{self, Instant},
};
use tower::ServiceExt as _;
use tracing::{debug, warn};
use weir_process::{Stop, http_guard::ListenerGuard};

use self::{
    activity::{Activity, ConnectionTimeouts, ResponseBody, TimeoutState, TrackedSocket},
    connection_limit::{ConnectionLimit, OpenConnection},
    drained_body::DrainedBody,
};
use crate::{args::EdgeConfig, metrics::Connections};

/// The pause after a failed accept. Without file handles every accept fails, and the loop would spin.
const ACCEPT_RETRY_PAUSE: Duration = Duration::from_millis(100);
/// Time for the requests in flight at shutdown. All roles together have 25 s, and the edge stops first.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(15);
/// Time for an idle peer to close its connection after the edge has announced the end.
const IDLE_CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// The edge detects a peer that vanished without closing within the sum of both.
const HTTP2_KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const HTTP2_KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes that HTTP/2 buffers before a handler reads the body. They don't count against `EDGE_MAX_IN_FLIGHT_BYTES`.
const HTTP2_STREAM_WINDOW: u32 = 256 << 10;
const HTTP2_CONNECTION_WINDOW: u32 = 1 << 20;
const HTTP2_STREAMS: u32 = 128;
/// Above the edge's own limits of a head: the edge's rejection has a correlation id, hyper's is empty. hyper allocates
/// this many fields per request: 1,024 fields cost 1 µs, 512 fields half of it.
const HTTP1_FIELDS: usize = 512;
const HTTP2_HEAD_BYTES: u32 = 128 << 10;

/// Serves until `stop`, then waits up to 15 s for the requests in flight.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    config: &EdgeConfig,
    connections: Connections,
    stop: Stop,
) {
    let timeouts = ConnectionTimeouts { head: config.header_timeout, idle: config.idle_timeout };
    let allowed_hosts = config.allowed_hosts.clone();
    let server = Arc::new(HttpServer { protocol: protocol(), router, timeouts, allowed_hosts });
    let limit = ConnectionLimit::new(config.max_connections, connections);
    // Every connection holds a receiver until it ends.
    let (shutdown, _) = watch::channel(());
    while let Some((stream, open)) = stop.run_until_cancelled(accept(&listener, &limit)).await {
        let (server, shutdown) = (Arc::clone(&server), shutdown.subscribe());
        tokio::spawn(async move {
            server.serve_connection(stream, shutdown).await;
            drop(open);
        });
    }
    drop(listener);
    shutdown.send_replace(());
    if time::timeout(DRAIN_TIMEOUT, shutdown.closed()).await.is_err() {
        warn!("requests were still in flight after 15 s of shutdown and were cut off");
    }
}

fn protocol() -> auto::Builder<TokioExecutor> {
    let mut protocol = auto::Builder::new(TokioExecutor::new());
    protocol
        .http1()
        // hyper's timeout would also run while the connection is idle.
        .header_read_timeout(None)
        // A sender that closes its writing half still reads the response.
        .half_close(true)
        .max_headers(HTTP1_FIELDS);
    protocol
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(HTTP2_KEEPALIVE_INTERVAL)
        .keep_alive_timeout(HTTP2_KEEPALIVE_TIMEOUT)
        .initial_stream_window_size(HTTP2_STREAM_WINDOW)
        .initial_connection_window_size(HTTP2_CONNECTION_WINDOW)
        .max_concurrent_streams(HTTP2_STREAMS)
        .max_header_list_size(HTTP2_HEAD_BYTES);
    protocol
}

/// The next connection, once the limit allows it.
async fn accept(listener: &TcpListener, limit: &ConnectionLimit) -> (TcpStream, OpenConnection) {
    let permit = limit.acquire().await;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return (stream, limit.open(permit)),
            Err(error) => {
                warn!(%error, "a connection was not accepted");
                time::sleep(ACCEPT_RETRY_PAUSE).await;
            }
        }
    }
}

struct HttpServer {
    protocol: auto::Builder<TokioExecutor>,
    router: Router,
    timeouts: ConnectionTimeouts,
    allowed_hosts: Arc<[String]>,
}

impl HttpServer {
    /// Serves one connection until its peer closes it, a timeout expires, or the edge shuts down.
    async fn serve_connection(&self, stream: TcpStream, mut shutdown: watch::Receiver<()>) {
        // A failure costs latency only.
        let _ = stream.set_nodelay(true);
        // Without an address the connection has ended already.
        let Ok(local) = stream.local_addr() else { return };
        let guard = ListenerGuard::new(local, Arc::clone(&self.allowed_hosts));
        let activity = Activity::start();
        let service = {
            let (router, activity) = (self.router.clone(), activity.clone());
            service_fn(move |mut request: Request<Incoming>| {
                if let Err(refusal) = guard.check(&request) {
                    request.extensions_mut().insert(refusal);
                }
                let in_flight = activity.begin_request(&request);
                let responding = router.clone().oneshot(DrainedBody::wrap(request, in_flight.clone()));
                async move {
                    let response = responding.await.unwrap_or_else(|never| match never {});
                    Ok::<_, Infallible>(ResponseBody::wrap(response, in_flight))
                }
            })
        };
        let socket = TokioIo::new(TrackedSocket { stream, activity: activity.clone() });
        let mut connection = Box::pin(self.protocol.serve_connection(socket, service));
        let mut timer = pin!(time::sleep(self.timeouts.head.min(self.timeouts.idle)));
        let (mut is_shutting_down, mut is_closing) = (false, false);
        loop {
            tokio::select! {
                biased;
                ended = &mut connection => {
                    if let Err(error) = ended {
                        debug!(%error, "a connection ended early");
                    }
                    return;
                }
                _ = shutdown.changed(), if !is_shutting_down => {
                    is_shutting_down = true;
                    connection.as_mut().graceful_shutdown();
                }
                () = activity.half_closed() => timer.as_mut().reset(Instant::now()),
                () = &mut timer => match activity.check(self.timeouts) {
                    TimeoutState::CheckAt(instant) => timer.as_mut().reset(instant),
                    TimeoutState::Answered => return,
                    TimeoutState::SlowHead => return debug!("a connection was closed: its head came too slowly"),
                    TimeoutState::Idle if is_closing => {
                        return debug!("an idle connection was closed: its peer did not close it");
                    }
                    TimeoutState::Idle => {
                        is_closing = true;
                        connection.as_mut().graceful_shutdown();
                        timer.as_mut().reset(Instant::now() + IDLE_CLOSE_TIMEOUT);
                    }
                },
            }
        }
    }
}
