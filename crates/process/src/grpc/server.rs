//! A gRPC server with the parts that every role serves: health, reflection, spans and a graceful end.

use std::{net::SocketAddr, time::Duration};

use anyhow::Context as _;
use tokio::net::TcpListener;
use tonic::service::RoutesBuilder;
use tonic_health::{ServingStatus, server::HealthReporter};
use tower::Layer as _;

use super::{call_deadline::CallDeadline, reflection, server_spans::ServerSpans};
use crate::{
    BodyPace, RoleReadiness, Stop,
    connections::{Connections, Http2Bounds, ListenerSettings, UNREAD_TIMEOUT},
};

/// How long calls in flight may take at the end. Streams that a client holds open, such as a watch on health,
/// never end by themselves.
const DRAIN: Duration = Duration::from_secs(10);
/// Edges, collectors and operators hold a few connections each.
const MAX_CONNECTIONS: usize = 4_096;
/// A client connects within milliseconds and sends its preface at once.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// A client that calls again connects again.
const IDLE_TIMEOUT: Duration = Duration::from_secs(75);
/// The pace of a message.
const BODY: BodyPace = BodyPace { stall: Duration::from_secs(10), whole: Duration::from_secs(120) };
/// HTTP/2's 64 KiB default stalls a batch of 16 MiB on a round trip per window.
const HTTP2: Http2Bounds = Http2Bounds {
    stream_window: 1 << 20,
    connection_window: 4 << 20,
    max_streams: 256,
    max_head_bytes: 32 << 10,
};

/// A bound gRPC server.
#[derive(Debug)]
pub struct GrpcServer {
    /// The role: the `listener` label of metrics.
    name: &'static str,
    listener: TcpListener,
    address: SocketAddr,
}

impl GrpcServer {
    /// Binds the listener of the role `name`.
    ///
    /// # Errors
    /// The address is taken, or it does not belong to this machine.
    pub async fn bind(name: &'static str, address: SocketAddr) -> anyhow::Result<Self> {
        let listener =
            TcpListener::bind(address).await.with_context(|| format!("can't listen on {address}"))?;
        let address = listener.local_addr()?;
        Ok(Self { name, listener, address })
    }

    /// The listen address, with port 0 resolved.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves `services`, health and reflection (v1 and v1alpha) until `stop`, then finishes the calls in
    /// flight and returns. Reflection shows the services in `names`, as `descriptors` describe them. The
    /// health of each of them and of the whole server follows `readiness`. It becomes NOT_SERVING at `stop`.
    ///
    /// # Errors
    /// The descriptors can't be decoded.
    pub async fn serve(
        self,
        mut services: RoutesBuilder,
        names: &'static [&'static str],
        descriptors: &[u8],
        readiness: RoleReadiness,
        connections: &Connections,
        stop: Stop,
    ) -> anyhow::Result<()> {
        let (reporter, health) = tonic_health::server::health_reporter();
        // tonic-health starts the empty service as SERVING.
        report(&reporter, names, false).await;
        services.add_service(health);
        services.add_service(reflection::builder(names, descriptors)?.build_v1()?);
        services.add_service(reflection::builder(names, descriptors)?.build_v1alpha()?);
        let follower = tokio::spawn(follow(readiness, reporter, names, stop.clone()));
        let service = ServerSpans::of(names, descriptors)?.layer(CallDeadline::new(services.routes()));
        let settings = ListenerSettings {
            name: self.name,
            max_connections: MAX_CONNECTIONS,
            head_timeout: HEAD_TIMEOUT,
            idle_timeout: IDLE_TIMEOUT,
            unread_timeout: UNREAD_TIMEOUT,
            drain_timeout: DRAIN,
            body: BODY,
            only_http2: true,
            allowed_hosts: None,
            http2: HTTP2,
        };
        connections.serve(self.listener, service, settings, stop).await;
        follower.abort();
        Ok(())
    }
}

async fn follow(readiness: RoleReadiness, reporter: HealthReporter, names: &[&str], stop: Stop) {
    let mut ready = readiness.is_ready();
    report(&reporter, names, ready).await;
    while let Some(now) = stop.run_until_cancelled(readiness.changed_from(ready)).await {
        ready = now;
        report(&reporter, names, ready).await;
    }
    report(&reporter, names, false).await;
}

async fn report(reporter: &HealthReporter, names: &[&str], ready: bool) {
    let status = if ready { ServingStatus::Serving } else { ServingStatus::NotServing };
    reporter.set_service_status("", status).await;
    for name in names {
        reporter.set_service_status(name, status).await;
    }
}
