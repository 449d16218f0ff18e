//! The caller of a request behind proxies. Bodies that wait for room are counted by caller.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use http::HeaderMap;
use ipnet::IpNet;

const FORWARDED_FOR: &str = "x-forwarded-for";

/// The networks of the proxies whose `X-Forwarded-For` is believed. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies(Arc<[IpNet]>);

impl TrustedProxies {
    /// Reads addresses and networks, such as `10.0.0.0/8, ::1`, with commas between them.
    ///
    /// # Errors
    /// A part is neither.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let networks = parts.map(|part| {
            let network =
                part.parse().or_else(|_| part.parse().map(|address: IpAddr| address.to_canonical().into()));
            network.map_err(|_| format!("'{part}' is neither an IP address nor a network such as 10.0.0.0/8"))
        });
        networks.collect::<Result<_, _>>().map(Self)
    }

    /// The caller of a request that came from `peer`: the last address of `X-Forwarded-For` that is not a trusted proxy's.
    /// What is before it may be invented.
    pub(crate) fn caller(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut caller = peer;
        let values = headers.get_all(FORWARDED_FOR).iter().rev();
        let mut forwarded = values.flat_map(|value| value.to_str().unwrap_or_default().rsplit(','));
        while self.contains(caller) {
            match forwarded.next().and_then(address) {
                Some(address) => caller = address,
                None => break,
            }
        }
        caller
    }

    fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address.to_canonical()))
    }
}

/// Some proxies add the port.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let address = text.parse().or_else(|_| text.trim_matches(['[', ']']).parse());
    address.or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(trusted: &str, peer: &str, forwarded: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append(FORWARDED_FOR, value.parse().unwrap());
        }
        TrustedProxies::parse(trusted).unwrap().caller(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn the_caller_is_the_last_address_that_is_no_trusted_proxy_s() {
        for (peer, forwarded, expected) in [
            ("192.0.2.1", &["203.0.113.9"][..], "192.0.2.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["203.0.113.9"], "203.0.113.9"),
            ("::ffff:10.0.0.1", &["198.51.100.7, 203.0.113.9:4711, 10.0.0.2"], "203.0.113.9"),
            ("10.0.0.1", &["198.51.100.7", "203.0.113.9", "10.0.0.2"], "203.0.113.9"),
            ("::1", &["[2001:db8::1]:443"], "2001:db8::1"),
            ("10.0.0.1", &["198.51.100.7, unknown"], "10.0.0.1"),
            ("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ] {
            assert_eq!(caller("10.0.0.0/8, ::1", peer, forwarded), expected, "{peer} {forwarded:?}");
        }
        assert_eq!(caller("", "10.0.0.1", &["203.0.113.9"]), "10.0.0.1");
    }

    #[test]
    fn what_is_no_network_is_refused_by_name() {
        let refused = TrustedProxies::parse("10.0.0.0/8,proxy.example").unwrap_err();
        assert!(refused.contains("'proxy.example'"), "{refused}");
    }
}
