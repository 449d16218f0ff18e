//! The HTTP server: bounds on connections, on waiting for them and on ending them. `axum::serve` has no timer.

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
use weir_process::Stop;

use self::{
    activity::{Activity, Answer, Due, Patience, Socket},
    connection_limit::{Occupied, Places},
    drained_body::DrainedBody,
};
use crate::{args::EdgeConfig, metrics::Connections};

/// Out of file handles or the like: a pause, so that accepting does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long requests in flight have at the end. All roles together have 25 s, and this one goes first.
const DRAIN: Duration = Duration::from_secs(15);
/// How long an idle peer has to take note that its connection ends.
const FAREWELL: Duration = Duration::from_secs(5);
/// A peer that is gone without a word is noticed within both.
const HTTP2_KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const HTTP2_KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);
/// What HTTP/2 takes in before anybody asks for a body: it counts against no bound on bodies.
const HTTP2_STREAM_WINDOW: u32 = 256 << 10;
const HTTP2_CONNECTION_WINDOW: u32 = 1 << 20;
const HTTP2_STREAMS: u32 = 128;
/// Over the edge's own bounds on a head, so that its refusal is an answer with a correlation id and not an empty one.
/// hyper sets room for so many fields aside at every request: 1,024 would cost a microsecond, these cost half of it.
const HTTP1_FIELDS: usize = 512;
const HTTP2_HEAD_BYTES: u32 = 128 << 10;

/// Serves until `stop`, then finishes what is in flight.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    config: &EdgeConfig,
    connections: Connections,
    stop: Stop,
) {
    let patience = Patience { head: config.header_timeout, idle: config.idle_timeout };
    let server = Arc::new(Server { protocol: protocol(), router, patience });
    let places = Places::new(config.max_connections, connections);
    // Every connection has a receiver until it ends.
    let (ending, _) = watch::channel(());
    while let Some((stream, place)) = stop.run_until_cancelled(accept(&listener, &places)).await {
        let (server, ending) = (Arc::clone(&server), ending.subscribe());
        tokio::spawn(async move {
            server.connection(stream, ending).await;
            drop(place);
        });
    }
    drop(listener);
    ending.send_replace(());
    if time::timeout(DRAIN, ending.closed()).await.is_err() {
        warn!("requests were still in flight at the end and were cut off");
    }
}

fn protocol() -> auto::Builder<TokioExecutor> {
    let mut protocol = auto::Builder::new(TokioExecutor::new());
    protocol
        .http1()
        // It would run while the connection is idle.
        .header_read_timeout(None)
        // Senders that close their writing half still read their answer.
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
    patience: Patience,
}

impl Server {
    /// Serves one connection until its peer ends it, it is idle for too long, or the edge ends.
    async fn connection(&self, stream: TcpStream, mut ending: watch::Receiver<()>) {
        // Only latency depends on it.
        let _ = stream.set_nodelay(true);
        let activity = Activity::begin();
        let service = {
            let (router, activity) = (self.router.clone(), activity.clone());
            service_fn(move |request: Request<Incoming>| {
                let in_flight = activity.request(&request);
                let answer = router.clone().oneshot(DrainedBody::of(request, in_flight.clone()));
                async move {
                    let answer = answer.await.unwrap_or_else(|never| match never {});
                    Ok::<_, Infallible>(Answer::of(answer, in_flight))
                }
            })
        };
        let socket = TokioIo::new(Socket { stream, activity: activity.clone() });
        let mut connection = Box::pin(self.protocol.serve_connection(socket, service));
        let mut timer = pin!(time::sleep(self.patience.head.min(self.patience.idle)));
        let (mut ends, mut idle) = (false, false);
        loop {
            tokio::select! {
                biased;
                ended = &mut connection => {
                    if let Err(error) = ended {
                        debug!(%error, "a connection ended early");
                    }
                    return;
                }
                _ = ending.changed(), if !ends => {
                    ends = true;
                    connection.as_mut().graceful_shutdown();
                }
                () = activity.half_closed() => timer.as_mut().reset(Instant::now()),
                () = &mut timer => match activity.due(self.patience) {
                    Due::Later(then) => timer.as_mut().reset(then),
                    Due::Answered => return,
                    Due::SlowHead => return debug!("a connection took too long to send a head and was closed"),
                    Due::Idle if idle => return debug!("an idle connection did not end and was closed"),
                    Due::Idle => {
                        idle = true;
                        connection.as_mut().graceful_shutdown();
                        timer.as_mut().reset(Instant::now() + FAREWELL);
                    }
                },
            }
        }
    }
}
