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

/// Reads a comma-separated list of addresses of gRPC servers, which have a host and a port alone.
///
/// # Errors
/// The list is empty, or a part of it is no such address; the part is named.
pub fn addresses(text: &str) -> Result<Vec<Url>, String> {
    let addresses = urls(text)?;
    for address in &addresses {
        let (path, query) = (address.path(), address.query().or(address.fragment()));
        if path != "/" || query.is_some() {
            let shown = bare(address);
            return Err(format!("'{shown}{path}': a gRPC server has no path; name '{shown}'"));
        }
    }
    Ok(addresses)
}

/// Reads a comma-separated list of http:// URLs.
///
/// # Errors
/// The list is empty, or a part of it is no such URL; the part is named.
pub fn urls(text: &str) -> Result<Vec<Url>, String> {
    if text.trim().is_empty() {
        return Err("names no address".into());
    }
    let parts: Vec<_> = text.split(',').map(str::trim).collect();
    let url = |(place, part): (usize, &&str)| match *part {
        "" => Err(format!("part {} of {} is empty: take out a comma", place + 1, parts.len())),
        part => url(part),
    };
    parts.iter().enumerate().map(url).collect()
}

/// Reads one http:// URL.
///
/// # Errors
/// It is none; what may be a password in it is not repeated.
fn url(text: &str) -> Result<Url, String> {
    // What comes before the last @ may be a password.
    let shown = text.rsplit_once('@').map_or_else(|| text.to_owned(), |(_, rest)| format!("…@{rest}"));
    let example = "such as http://127.0.0.1:50051";
    match Url::parse(text) {
        Ok(url) if url.scheme() == "https" => {
            Err(format!("'{shown}': https is not supported; use http, or a local TLS proxy"))
        }
        Ok(url) if url.scheme() == "http" && url.has_host() => match url.username().is_empty() {
            true if url.password().is_none() => Ok(url),
            _ => Err(format!("'{shown}': a user and a password are not supported here; take them out")),
        },
        Ok(url) if text.contains("://") => {
            Err(format!("'{shown}': {}:// is no address of HTTP, {example}", url.scheme()))
        }
        Ok(_) | Err(_) if !text.contains("://") => {
            Err(format!("'{shown}' is no address: write http:// in front of it, {example}"))
        }
        Ok(_) | Err(_) => Err(format!("'{shown}' is no address, {example}")),
    }
}

/// Without path, query and user.
fn bare(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}", url.scheme(), url.host_str().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::{addresses, urls};

    #[test]
    fn https_is_refused_by_its_name() {
        assert!(addresses("http://ingest:50051, http://[::1]:1").is_ok_and(|read| read.len() == 2));
        assert!(addresses("https://ingest:50051").unwrap_err().contains("https is not supported"));
    }

    #[test]
    fn the_part_of_a_list_that_is_wrong_is_named() {
        for (list, part) in [
            ("", "names no address"),
            ("http://a:1,", "part 2 of 2 is empty"),
            (",http://a:1", "part 1 of 2 is empty"),
            ("http://a:1,,http://b:2", "part 2 of 3 is empty"),
            ("http://a:1,ingest:50051", "'ingest:50051' is no address: write http:// in front"),
            ("http://a:1,127.0.0.1:50051", "'127.0.0.1:50051' is no address: write http:// in front"),
            ("http://a:1,nats://b:4222", "'nats://b:4222': nats:// is no address of HTTP"),
            (
                "http://a:1,http://b:2/reports?x",
                "'http://b:2/reports': a gRPC server has no path; name 'http://b:2'",
            ),
            ("http://a:1 http://b:2", "is no address"),
            ("http://a:1,http://", "'http://' is no address"),
        ] {
            let told = addresses(list).unwrap_err();
            assert!(told.contains(part), "{list}: {told}");
        }
        assert!(urls("http://a:8222/monitor").is_ok());
    }

    #[test]
    fn a_password_is_not_repeated() {
        for list in ["http://me:secret@a:1", "nats://me:secret@a:1", "me:secret@a:1", "http://me:se/cret@a:1"]
        {
            let told = addresses(list).unwrap_err();
            assert!(!told.contains("secret") && !told.contains("cret"), "{told}");
        }
    }
}
