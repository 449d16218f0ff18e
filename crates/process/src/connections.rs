//! The HTTP connections of every listener of a process: accepts them up to a limit, serves them, and closes those that
//! are slow, idle, not read from, or in the way of others.
//!
//! `axum::serve` and tonic's server have no such bounds, so hyper's connections are run here.

mod activity;
mod drained_body;
mod metrics;
mod response_body;
mod slots;
mod socket;
#[cfg(test)]
mod tests;

use std::{convert::Infallible, error::Error, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use hyper::{
    body::{Body, Incoming},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use prometheus_client::registry::Registry;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    time::{self, Instant},
};
use tower::{Service, ServiceExt as _};
use tracing::{debug, warn};

pub use self::drained_body::{BodyReadError, DrainedBody};
use self::{
    activity::{ConnectionTimeouts, TimeoutState},
    metrics::{CloseReason, ConnectionMetrics},
    response_body::ResponseBody,
    slots::{ConnectionSlot, ConnectionSlots},
    socket::TrackedSocket,
};
use crate::{BodyPace, Stop, http_guard::ListenerGuard};

/// The pause after a failed accept. Without file handles every accept fails, and the loop would spin.
const ACCEPT_RETRY_PAUSE: Duration = Duration::from_millis(100);
/// Time for an idle peer to close its connection after the end was announced.
const IDLE_CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// A peer that vanished without closing is detected within the sum of both.
const HTTP2_KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const HTTP2_KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);
/// The time for a peer to take the next piece of a response, at every listener.
pub const UNREAD_TIMEOUT: Duration = Duration::from_secs(30);
/// hyper allocates this many fields per request: 1,024 fields cost 1 µs, 512 fields half of it.
const HTTP1_FIELDS: usize = 512;
/// The most bytes that wait in one stream until the peer takes them.
const HTTP2_SEND_BUFFER: usize = 64 << 10;

/// The two ends of a request's connection, in the extensions of every request.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// The caller's address.
    pub address: SocketAddr,
    /// The address at which the connection arrived.
    pub local: SocketAddr,
}

/// The bounds of one listener.
#[derive(Clone, Debug)]
pub struct ListenerSettings {
    /// The `listener` label of metrics, and the name in log entries.
    pub name: &'static str,
    /// The most open connections.
    pub max_connections: usize,
    /// The time for a head: from the connection's start, or from the first byte of a later head.
    pub head_timeout: Duration,
    /// The time that a connection may be idle after a response.
    pub idle_timeout: Duration,
    /// The time for a peer to take the next piece of a response.
    pub unread_timeout: Duration,
    /// The time for requests in flight after the stop.
    pub drain_timeout: Duration,
    /// The names of an HTTP listener besides its own. Where a web page may have caused a request, its
    /// [`Refusal`](crate::http_guard::Refusal) is in the request's extensions. `None` where no browser can be a client.
    pub allowed_hosts: Option<Arc<[String]>>,
    /// The pace of request bodies.
    pub body: BodyPace,
    /// Whether HTTP/1 is refused, as gRPC demands.
    pub only_http2: bool,
    pub http2: Http2Bounds,
}

/// The bounds of one HTTP/2 connection.
#[derive(Clone, Copy, Debug)]
pub struct Http2Bounds {
    /// Bytes of a stream that are buffered before a handler reads them.
    pub stream_window: u32,
    /// The same of all streams together.
    pub connection_window: u32,
    pub max_streams: u32,
    /// The most bytes of a head, 32 for each field besides.
    pub max_head_bytes: u32,
}

/// The connections of a process, bounded by its limit of open files. Cheap to clone; every clone is the same.
#[derive(Clone, Debug)]
pub struct Connections {
    slots: Arc<ConnectionSlots>,
    metrics: ConnectionMetrics,
}

impl Default for Connections {
    fn default() -> Self {
        let metrics = ConnectionMetrics::default();
        Self { slots: Arc::new(ConnectionSlots::new(metrics.clone())), metrics }
    }
}

impl Connections {
    /// Registers the metrics of connections, once per process.
    pub fn register(&self, registry: &mut Registry) {
        self.metrics.register(registry);
    }

    /// Serves a listener until `stop`, then waits for the requests in flight, up to the settings' drain timeout. An error
    /// of a connection ends that connection alone.
    pub async fn serve<S, B>(&self, listener: TcpListener, service: S, settings: ListenerSettings, stop: Stop)
    where
        S: Service<Request<DrainedBody>, Response = Response<B>, Error = Infallible>
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send,
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        self.metrics.expect(settings.name);
        self.metrics.set_limit(settings.name, settings.max_connections.min(self.slots.max()));
        let settings = Arc::new(settings);
        let server = Arc::new(HttpServer {
            protocol: protocol(&settings),
            service,
            timeouts: ConnectionTimeouts {
                head: settings.head_timeout,
                idle: settings.idle_timeout,
                unread: settings.unread_timeout,
            },
            body: settings.body,
            allowed_hosts: settings.allowed_hosts.clone(),
            metrics: self.metrics.clone(),
        });
        // Every connection holds a receiver until it ends.
        let (shutdown, _) = watch::channel(());
        while let Some((stream, peer, slot)) =
            stop.run_until_cancelled(self.accept(&listener, &settings)).await
        {
            let (server, shutdown) = (Arc::clone(&server), shutdown.subscribe());
            tokio::spawn(async move { server.serve_connection(stream, peer, slot, shutdown).await });
        }
        drop(listener);
        shutdown.send_replace(());
        if time::timeout(settings.drain_timeout, shutdown.closed()).await.is_err() {
            let seconds = settings.drain_timeout.as_secs();
            warn!(
                listener = settings.name,
                "requests were in flight after {seconds} s of shutdown and were cut off"
            );
        }
    }

    /// The next connection, once there is room for it.
    async fn accept(
        &self,
        listener: &TcpListener,
        settings: &ListenerSettings,
    ) -> (TcpStream, SocketAddr, ConnectionSlot) {
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => {
                    let slot = self.slots.acquire(settings.name, settings.max_connections, peer.ip()).await;
                    return (stream, peer, slot);
                }
                Err(error) => {
                    warn!(%error, listener = settings.name, "a connection was not accepted");
                    // Without descriptors, connections that wait for their peers give theirs back.
                    self.slots.shed(settings.name, settings.max_connections);
                    time::sleep(ACCEPT_RETRY_PAUSE).await;
                }
            }
        }
    }
}

fn protocol(settings: &ListenerSettings) -> auto::Builder<TokioExecutor> {
    let mut protocol = auto::Builder::new(TokioExecutor::new());
    if settings.only_http2 {
        protocol = protocol.http2_only();
    }
    protocol
        .http1()
        // hyper's timeout would also run while the connection is idle.
        .header_read_timeout(None)
        // A sender that closes its writing half still reads the response.
        .half_close(true)
        .max_headers(HTTP1_FIELDS);
    let bounds = settings.http2;
    protocol
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(HTTP2_KEEPALIVE_INTERVAL)
        .keep_alive_timeout(HTTP2_KEEPALIVE_TIMEOUT)
        .initial_stream_window_size(bounds.stream_window)
        .initial_connection_window_size(bounds.connection_window)
        .max_concurrent_streams(bounds.max_streams)
        .max_header_list_size(bounds.max_head_bytes)
        .max_send_buf_size(HTTP2_SEND_BUFFER);
    protocol
}

struct HttpServer<S> {
    protocol: auto::Builder<TokioExecutor>,
    service: S,
    timeouts: ConnectionTimeouts,
    body: BodyPace,
    allowed_hosts: Option<Arc<[String]>>,
    metrics: ConnectionMetrics,
}

impl<S, B> HttpServer<S>
where
    S: Service<Request<DrainedBody>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send,
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    /// Serves one connection until its peer closes it, a timeout expires, its slot is taken, or the process shuts down.
    async fn serve_connection(
        &self,
        stream: TcpStream,
        address: SocketAddr,
        slot: ConnectionSlot,
        mut shutdown: watch::Receiver<()>,
    ) {
        // A failure costs latency only.
        let _ = stream.set_nodelay(true);
        // Without an address the connection has ended already.
        let Ok(local) = stream.local_addr() else { return };
        let guard = self.allowed_hosts.clone().map(|allowed| ListenerGuard::new(local, allowed));
        let activity = slot.activity();
        let socket = TokioIo::new(TrackedSocket { stream, activity: activity.clone(), is_blocked: false });
        let service = service_fn(|mut request: Request<Incoming>| {
            if let Some(Err(refusal)) = guard.as_ref().map(|guard| guard.check(&request)) {
                request.extensions_mut().insert(refusal);
            }
            let request_guard = activity.begin_request(&request);
            request.extensions_mut().insert(Peer { address, local });
            let request = DrainedBody::wrap(request, self.body, request_guard.in_flight().clone());
            let responding = self.service.clone().oneshot(request);
            async move {
                let response = responding.await.unwrap_or_else(|never| match never {});
                Ok::<_, Infallible>(ResponseBody::wrap(response, request_guard))
            }
        });
        let mut connection = Box::pin(self.protocol.serve_connection(socket, service));
        let mut timer = pin!(time::sleep(self.timeouts.shortest()));
        let (mut is_shutting_down, mut is_closing) = (false, false);
        let reason = loop {
            tokio::select! {
                biased;
                ended = &mut connection => {
                    if is_closing {
                        break CloseReason::Idle;
                    }
                    if activity.is_head_refused() {
                        break CloseReason::LargeHead;
                    }
                    if let Err(error) = ended {
                        debug!(error, peer = %address, "a connection ended early");
                    }
                    return;
                }
                () = slot.taken() => break CloseReason::Evicted,
                _ = shutdown.changed(), if !is_shutting_down => {
                    is_shutting_down = true;
                    connection.as_mut().graceful_shutdown();
                }
                () = activity.half_closed() => timer.as_mut().reset(Instant::now()),
                () = &mut timer => match activity.check(self.timeouts) {
                    TimeoutState::CheckAt(instant) => timer.as_mut().reset(instant),
                    TimeoutState::Answered => return,
                    TimeoutState::SlowHead => break CloseReason::SlowHead,
                    TimeoutState::Unread => break CloseReason::Unread,
                    TimeoutState::Idle if is_closing => break CloseReason::Idle,
                    TimeoutState::Idle => {
                        is_closing = true;
                        connection.as_mut().graceful_shutdown();
                        timer.as_mut().reset(Instant::now() + IDLE_CLOSE_TIMEOUT);
                    }
                },
            }
        };
        self.metrics.closed(slot.listener(), reason);
        debug!(reason = reason.name(), peer = %address, listener = slot.listener(), "a connection was closed");
    }
}
