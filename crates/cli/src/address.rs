//! From where a server listens to where it is reached.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What names a role's admin address for tools.
pub(crate) const ADMIN_LISTEN: &str = "ADMIN_LISTEN or --admin-listen";

/// Where this machine reaches who listens on `address`: over the loopback, where that is every address.
pub(crate) fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}
