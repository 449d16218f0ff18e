//! Channels to gRPC servers.

use std::time::Duration;

use tonic::transport::{Channel, Endpoint};
use url::Url;

/// A client notices a server that vanished within interval + timeout.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);
/// Room for many 16 MiB batches at once: HTTP/2's 64 KiB default stalls a batch on a round trip per window.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Makes a channel that balances over every address. It connects at its first use, and again after a loss.
///
/// # Errors
/// An address is not an http:// URL.
pub fn channel(addresses: &[Url]) -> anyhow::Result<Channel> {
    let endpoints = addresses.iter().map(endpoint).collect::<anyhow::Result<Vec<_>>>()?;
    Ok(match endpoints.as_slice() {
        [one] => one.connect_lazy(),
        _ => Channel::balance_list(endpoints.into_iter()),
    })
}

/// Makes the endpoint of one address, with the keep-alive and the windows of [`channel`].
///
/// # Errors
/// The address is not an http:// URL.
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
