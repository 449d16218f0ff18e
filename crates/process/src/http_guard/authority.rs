//! Host and port, as `Host`, `:authority` and origins name them.

use std::net::{IpAddr, Ipv6Addr};

/// The port that a browser leaves out of http:// addresses.
const DEFAULT_PORT: u16 = 80;

/// A host, and its port if it has one. The host is not checked beyond its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Authority<'a> {
    /// The name or the address; one of IPv6 is in brackets.
    pub(super) name: &'a str,
    port: Option<u16>,
}

impl<'a> Authority<'a> {
    /// Reads `HOST` or `HOST:PORT` without copying it; `None` where the text is neither.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let end = match text.strip_prefix('[') {
            Some(address) => address.find(']')? + 2,
            None => text.find(':').unwrap_or(text.len()),
        };
        let (name, rest) = text.split_at(end);
        let port = match rest.strip_prefix(':') {
            Some("") => None,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => Some(digits.parse().ok()?),
            None if rest.is_empty() => None,
            _ => return None,
        };
        (!name.is_empty()).then_some(Self { name, port })
    }

    pub(super) fn port(&self) -> u16 {
        self.port.unwrap_or(DEFAULT_PORT)
    }

    /// Returns true if both name the same host and port. Case does not count.
    pub(super) fn is_same(&self, other: &Authority<'_>) -> bool {
        self.name.eq_ignore_ascii_case(other.name) && self.port() == other.port()
    }
}

/// The IP address that `name` is; `None` for any other name. An address of IPv4 in one of IPv6 is that address.
pub(super) fn address(name: &str) -> Option<IpAddr> {
    let address = match name.strip_prefix('[') {
        Some(rest) => IpAddr::V6(rest.strip_suffix(']')?.parse::<Ipv6Addr>().ok()?),
        None => IpAddr::V4(name.parse().ok()?),
    };
    Some(address.to_canonical())
}

/// Reads a comma-separated list of host names and addresses, without ports.
///
/// ```
/// use weir_process::http_guard::host_names;
///
/// assert_eq!(host_names("weir.example.com, 10.0.0.7").unwrap(), ["weir.example.com", "10.0.0.7"]);
/// assert!(host_names("https://weir.example.com").unwrap_err().contains("https://weir.example.com"));
/// ```
///
/// # Errors
/// A part of the list is not such a name. The error names the part.
pub fn host_names(text: &str) -> Result<Vec<String>, String> {
    let parts: Vec<_> = text.split(',').map(str::trim).collect();
    let name = |(place, part): (usize, &&str)| match *part {
        "" => Err(format!("part {} of {} is empty: take out a comma", place + 1, parts.len())),
        part if is_host(part) => Ok(part.to_owned()),
        part => Err(format!(
            "'{part}' is no host; write names or addresses without scheme, port and path, such as \
             weir.example.com or [fd00::1]"
        )),
    };
    parts.iter().enumerate().map(name).collect()
}

fn is_host(text: &str) -> bool {
    let is_name = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    is_name || (text.starts_with('[') && address(text).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_ends_where_its_text_ends() {
        let of = |text| Authority::parse(text).map(|authority| (authority.name, authority.port));
        assert_eq!(of("a"), Some(("a", None)));
        assert_eq!(of("a:"), Some(("a", None)));
        assert_eq!(of("a:81"), Some(("a", Some(81))));
        assert_eq!(of("[::1]:81"), Some(("[::1]", Some(81))));
        for text in ["", ":80", "a:b", "a:65536", "a:+1", "a:1:2", "::1", "[::1", "[::1]a", "a:80/"] {
            assert_eq!(of(text), None, "{text}");
        }
    }

    #[test]
    fn a_list_of_names_refuses_a_part_by_its_text() {
        assert_eq!(host_names("A.example,[fd00::1]").unwrap(), ["A.example", "[fd00::1]"]);
        for (list, named) in [
            ("a:80", "'a:80'"),
            ("http://a", "'http://a'"),
            ("a/b", "'a/b'"),
            ("a b", "'a b'"),
            ("*", "'*'"),
            ("*.example", "'*.example'"),
            ("::1", "'::1'"),
            ("[::1]:80", "'[::1]:80'"),
            ("a,,b", "part 2 of 3"),
            ("a,", "part 2 of 2"),
        ] {
            let error = host_names(list).unwrap_err();
            assert!(error.contains(named), "{list}: {error}");
        }
    }
}
