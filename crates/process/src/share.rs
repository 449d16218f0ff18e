//! The shares of callers, who are told apart by their addresses.

use std::net::{IpAddr, Ipv6Addr};

/// The bits of an IPv6 address that name a network; a caller has all addresses of its own (RFC 6177).
const NETWORK: u128 = u128::MAX << 64;

/// The address whose share a caller takes: its own, or the /64 of an IPv6 address.
///
/// ```
/// use std::net::IpAddr;
///
/// let of = |address: &str| weir_process::share::of(address.parse::<IpAddr>().unwrap()).to_string();
/// assert_eq!(of("192.0.2.7"), "192.0.2.7");
/// assert_eq!(of("::ffff:192.0.2.7"), "192.0.2.7");
/// assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
/// ```
#[must_use]
pub fn of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & NETWORK)),
        address @ IpAddr::V4(_) => address,
    }
}
