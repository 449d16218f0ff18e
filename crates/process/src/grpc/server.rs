//! A gRPC server with the parts that every role serves: health, reflection, spans and a graceful end.

use std::{net::SocketAddr, time::Duration};

use anyhow::Context as _;
use tokio::net::TcpListener;
use tonic::{
    service::RoutesBuilder,
    transport::{Server, server::TcpIncoming},
};
use tonic_health::{ServingStatus, server::HealthReporter};
use tracing::warn;

use super::{
    channel::{CONNECTION_WINDOW, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT, STREAM_WINDOW},
    reflection,
    server_spans::ServerSpans,
};
use crate::{RoleReadiness, Stop};

/// How long calls in flight may take at the end. Streams that a client holds open, such as a watch on health,
/// never end by themselves.
const DRAIN: Duration = Duration::from_secs(10);

/// A bound gRPC server.
#[derive(Debug)]
pub struct GrpcServer {
    listener: TcpListener,
    address: SocketAddr,
}

impl GrpcServer {
    /// # Errors
    /// The address is taken, or it does not belong to this machine.
    pub async fn bind(address: SocketAddr) -> anyhow::Result<Self> {
        let listener =
            TcpListener::bind(address).await.with_context(|| format!("can't listen on {address}"))?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
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
    /// The descriptors can't be decoded, or the listener fails.
    pub async fn serve(
        self,
        mut services: RoutesBuilder,
        names: &'static [&'static str],
        descriptors: &[u8],
        readiness: RoleReadiness,
        stop: Stop,
    ) -> anyhow::Result<()> {
        let (reporter, health) = tonic_health::server::health_reporter();
        // tonic-health starts the empty service as SERVING.
        report(&reporter, names, false).await;
        services.add_service(health);
        services.add_service(reflection::builder(names, descriptors)?.build_v1()?);
        services.add_service(reflection::builder(names, descriptors)?.build_v1alpha()?);
        let follower = tokio::spawn(follow(readiness, reporter, names, stop.clone()));
        let drained = {
            let stop = stop.clone();
            async move {
                stop.cancelled().await;
                tokio::time::sleep(DRAIN).await;
            }
        };
        let serving = Server::builder()
            .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
            .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .layer(ServerSpans::of(names, descriptors)?)
            .add_routes(services.routes())
            .serve_with_incoming_shutdown(
                TcpIncoming::from(self.listener).with_nodelay(Some(true)),
                stop.cancelled_owned(),
            );
        let served = tokio::select! {
            served = serving => served,
            () = drained => {
                warn!("calls were still in flight at the end and were cut off");
                Ok(())
            }
        };
        follower.abort();
        Ok(served?)
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
