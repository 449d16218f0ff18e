//! Addresses of servers: the settings that name them, and the address by which this machine reaches a
//! listener.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use url::Url;
use weir_process::redact;

/// The settings of a role's admin address, as messages name them.
pub(crate) const ADMIN_LISTEN: &str = "ADMIN_LISTEN or --admin-listen";

/// The address by which this machine reaches a server that listens on `address`: the loopback for a server
/// that listens on every address.
pub(crate) fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// The setting of the edge's address, as error lists name it.
pub(crate) const EDGE_SETTING: &str = "--endpoint (EVENT_ENDPOINT)";

/// Reads the URL where the edge accepts events.
///
/// # Errors
/// The text is not an http:// URL.
pub(crate) fn edge_endpoint(text: &str) -> Result<Url, String> {
    http_url(text, "http://127.0.0.1:3001/events")
}

/// Reads the http:// URL of one HTTP server.
///
/// # Errors
/// The text is not such a URL. The error shows `example`.
pub(crate) fn http_url(text: &str, example: &str) -> Result<Url, String> {
    let shown = redact::before_host(text);
    match Url::parse(text) {
        Ok(url) if url.scheme() == "http" && url.has_host() => Ok(url),
        Ok(url) if url.scheme() == "https" => Err(format!(
            "'{shown}': https is not supported; reach the server over http, or a local TLS proxy"
        )),
        _ => Err(format!("'{shown}' is no http:// URL such as {example}")),
    }
}

#[cfg(test)]
mod tests {
    use super::edge_endpoint;

    #[test]
    fn https_is_refused_by_its_name() {
        assert!(edge_endpoint("http://edge:3001/events").is_ok());
        assert!(edge_endpoint("https://edge/events").unwrap_err().contains("https is not supported"));
        assert!(edge_endpoint("edge/events").unwrap_err().contains("is no http:// URL"));
    }
}
