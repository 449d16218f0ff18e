//! HTTP clients with and without a proxy.
//!
//! `http_proxy`, `HTTP_PROXY`, `all_proxy` and `NO_PROXY` apply, as for other programs. A proxy can't reach
//! the loopback of this machine, though, so requests to it never use one.

use std::net::{IpAddr, Ipv6Addr};

use url::{Host, Url};

/// The builder of a client for requests to the host of `url`.
pub fn builder(url: &Url) -> reqwest::ClientBuilder {
    if is_on_this_machine(url) { direct_builder() } else { reqwest::Client::builder() }
}

/// The builder of a client for requests to this machine, whichever address they name.
pub fn direct_builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder().no_proxy()
}

/// [`builder`] for a blocking client.
pub(super) fn blocking_builder(url: &Url) -> reqwest::blocking::ClientBuilder {
    let builder = reqwest::blocking::Client::builder();
    if is_on_this_machine(url) { builder.no_proxy() } else { builder }
}

/// Returns true if the host is a loopback address, or a name of one.
fn is_on_this_machine(url: &Url) -> bool {
    let is_local = |ip: IpAddr| ip.is_loopback() || ip.is_unspecified();
    match url.host() {
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.');
            name == "localhost" || name.ends_with(".localhost")
        }
        Some(Host::Ipv4(ip)) => is_local(ip.into()),
        Some(Host::Ipv6(ip)) => is_local(canonical(ip)),
        None => false,
    }
}

/// `::ffff:127.0.0.1` is 127.0.0.1.
fn canonical(ip: Ipv6Addr) -> IpAddr {
    IpAddr::from(ip).to_canonical()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_is_known_by_every_name() {
        for (url, expected) in [
            ("http://127.0.0.1:9101/health", true),
            ("http://127.9.9.9", true),
            ("http://[::1]:1", true),
            ("http://[::ffff:127.0.0.1]:1", true),
            ("http://0.0.0.0:1", true),
            ("http://LOCALHOST:1", true),
            ("http://localhost.", true),
            ("http://edge.localhost", true),
            ("http://10.0.0.1", false),
            ("http://edge:1", false),
            ("http://localhost.example.org", false),
            ("http://[fe80::1]", false),
        ] {
            assert_eq!(is_on_this_machine(&url.parse().unwrap()), expected, "{url}");
        }
    }
}
