//! The shell around a gRPC service: health that follows readiness, reflection, keep-alive and a graceful end; and
//! the channel to one.

mod client_spans;
mod code;
mod server_spans;
mod spanned_body;

use std::{net::SocketAddr, time::Duration};

use anyhow::Context as _;
use tokio::net::TcpListener;
use tonic::{
    service::RoutesBuilder,
    transport::{Channel, Endpoint, Server, server::TcpIncoming},
};
use tonic_health::{ServingStatus, server::HealthReporter};
use tracing::warn;
use url::Url;

pub use self::client_spans::{CallOrigins, TracedChannel};
use self::server_spans::ServerSpans;
use super::{RoleReadiness, Stop};

/// A peer that is gone without a word is noticed within interval + timeout.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long calls in flight have at the end. Streams that a client holds open, such as a watch on health, never end by
/// themselves.
const DRAIN: Duration = Duration::from_secs(10);
/// Room for many 16 MiB batches at once: HTTP/2's 64 KiB default stalls a batch on a round trip per window.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;

/// A bound gRPC server.
#[derive(Debug)]
pub struct GrpcServer {
    listener: TcpListener,
    address: SocketAddr,
}

impl GrpcServer {
    /// # Errors
    /// The address is taken or not this machine's.
    pub async fn bind(address: SocketAddr) -> anyhow::Result<Self> {
        let listener =
            TcpListener::bind(address).await.with_context(|| format!("can't listen on {address}"))?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// Where it listens, port 0 resolved.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves `services`, health and reflection (v1 and v1alpha, of `descriptors`) until `stop`, then answers what
    /// is in flight and returns. Health of `names` and of the whole server follows `readiness`, and says
    /// NOT_SERVING as soon as it stops.
    ///
    /// # Errors
    /// The descriptors can't be read, or the listener fails.
    pub async fn serve(
        self,
        mut services: RoutesBuilder,
        names: &'static [&'static str],
        descriptors: &[u8],
        readiness: RoleReadiness,
        stop: Stop,
    ) -> anyhow::Result<()> {
        let reflection = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(descriptors)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        };
        let (reporter, health) = tonic_health::server::health_reporter();
        // The empty service starts as SERVING.
        report(&reporter, names, false).await;
        services.add_service(health);
        services.add_service(reflection().build_v1()?);
        services.add_service(reflection().build_v1alpha()?);
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

/// A channel that is balanced over every address, connects when it is first used and again when it was lost.
///
/// # Errors
/// An address is no http:// URL.
pub fn channel(addresses: &[Url]) -> anyhow::Result<Channel> {
    let endpoints = addresses.iter().map(endpoint).collect::<anyhow::Result<Vec<_>>>()?;
    Ok(match endpoints.as_slice() {
        [one] => one.connect_lazy(),
        _ => Channel::balance_list(endpoints.into_iter()),
    })
}

/// One address with the keep-alive and windows of [`channel`].
///
/// # Errors
/// The address is no http:// URL.
pub fn endpoint(address: &Url) -> anyhow::Result<Endpoint> {
    Ok(Endpoint::from_shared(address.to_string())?
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .tcp_nodelay(true))
}

/// Reads a comma-separated list of addresses; `variable` names it in the error.
///
/// # Errors
/// The list is empty or names something that is no http:// URL.
pub fn addresses(text: &str) -> Result<Vec<Url>, String> {
    let parse = |part: &str| match Url::parse(part) {
        Ok(url) if url.scheme() == "http" && url.has_host() => Ok(url),
        Ok(url) if url.scheme() == "https" => {
            Err(format!("'{part}': https is not supported; use http, or a local TLS proxy"))
        }
        Ok(_) | Err(_) => Err(format!("'{part}' is no address such as http://127.0.0.1:50051")),
    };
    let addresses: Vec<Url> = text
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(parse)
        .collect::<Result<_, _>>()?;
    if addresses.is_empty() { Err("names no address".into()) } else { Ok(addresses) }
}

#[cfg(test)]
mod tests {
    use super::addresses;

    #[test]
    fn https_is_refused_by_its_name() {
        assert!(addresses("http://ingest:50051, http://[::1]:1").is_ok_and(|read| read.len() == 2));
        assert!(addresses("https://ingest:50051").unwrap_err().contains("https is not supported"));
        assert!(addresses("ingest:50051").unwrap_err().contains("is no address"));
    }
}
