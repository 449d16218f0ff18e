//! Checks of the head of every request, for all paths.
//!
//! A proxy in front of the edge may read an ambiguous head otherwise than the edge does, so the edge rejects it.

use std::net::Ipv6Addr;

use http::{HeaderMap, HeaderValue, Request, StatusCode, Version, header, uri::Authority};

use crate::problem::Problem;

/// Ten times as many as a usual sender has.
const MAX_FIELDS: usize = 100;
/// Bytes of all names and values together, without the URI.
const MAX_BYTES: usize = 32 << 10;

/// Rejects a head that is too large, or that is ambiguous about its host.
///
/// # Errors
/// 431 for the size, 400 for the host.
pub(crate) fn check<B>(request: &Request<B>) -> Result<(), Problem> {
    check_size(request.headers())?;
    check_host(request)
}

fn check_size(headers: &HeaderMap) -> Result<(), Problem> {
    let too_large = |detail| Problem::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, detail);
    let fields = headers.len();
    if fields > MAX_FIELDS {
        let detail = format!("the request has {fields} header fields, over the limit of {MAX_FIELDS}");
        return Err(too_large(detail));
    }
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if bytes > MAX_BYTES {
        let detail =
            format!("the header fields have {bytes} bytes together, over the limit of {MAX_BYTES} bytes");
        return Err(too_large(detail));
    }
    Ok(())
}

/// HTTP/1.0 may omit the host, and HTTP/2 carries it in the pseudo-header `:authority`.
fn check_host<B>(request: &Request<B>) -> Result<(), Problem> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let (host, another) = (hosts.next(), hosts.next());
    if another.is_some() {
        return Err(Problem::bad_request("the request has more than one Host header"));
    }
    let authority = request.uri().authority();
    let named = match request.version() {
        Version::HTTP_09 | Version::HTTP_10 => true,
        Version::HTTP_11 => host.is_some(),
        _ => host.is_some() || authority.is_some(),
    };
    if !named {
        return Err(Problem::bad_request("the request has no Host header"));
    }
    if host.is_some_and(|host| !is_host(host)) || authority.is_some_and(|authority| !is_plain(authority)) {
        return Err(Problem::bad_request("the host of the request is not HOST or HOST:PORT"));
    }
    Ok(())
}

/// Whether a Host header is valid. RFC 9112 allows an empty one for a target without a host.
fn is_host(value: &HeaderValue) -> bool {
    value.is_empty() || Authority::try_from(value.as_bytes()).is_ok_and(|authority| is_plain(&authority))
}

/// Whether an authority is HOST or HOST:PORT with a valid port, and has no user.
fn is_plain(authority: &Authority) -> bool {
    let (all, host) = (authority.as_str(), authority.host());
    let Some(port) = all.strip_prefix(host) else { return false };
    let is_port = match port.strip_prefix(':') {
        Some(digits) => {
            digits.bytes().all(|byte| byte.is_ascii_digit())
                && (digits.is_empty() || digits.parse::<u16>().is_ok())
        }
        None => port.is_empty(),
    };
    let is_address = match host.strip_prefix('[') {
        Some(address) => address.strip_suffix(']').is_some_and(|address| address.parse::<Ipv6Addr>().is_ok()),
        None => !host.is_empty(),
    };
    is_port && is_address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_with_or_without_a_port() {
        for host in [
            "",
            "a",
            "a.example",
            "A-1.example.",
            "a_b",
            "127.0.0.1:3001",
            "a:",
            "a:0",
            "[::1]",
            "[::1]:3001",
            "[::1]:",
            "xn--a.example",
        ] {
            assert!(is_host(&HeaderValue::from_str(host).unwrap()), "{host}");
        }
        for host in [
            "u@a", "u:p@a", "@a", "a:b", "a:-1", "a:+1", "a:65536", "a:1:2", ":80", ":", "a/b", "a?b", "a#b",
            "a b", "a\tb", "http://a", "::1", "[::1", "::1]", "[]", "[a]", "[::1]a", "a[::1]", "a\\b", "a\"",
            "<a>", "%", "a%zz", "a|b", "a,b c",
        ] {
            assert!(!is_host(&HeaderValue::from_str(host).unwrap()), "{host}");
        }
        assert!(!is_host(&HeaderValue::from_bytes(b"b\xfccher.example").unwrap()));
    }

    #[test]
    fn an_authority_names_the_host_over_http_2() {
        let request = |uri: &str, host: &[&str]| {
            let request = Request::builder().version(Version::HTTP_2).uri(uri);
            host.iter().fold(request, |request, host| request.header("host", *host)).body(()).unwrap()
        };
        for (uri, hosts) in [("http://a/", &[][..]), ("/", &["a"]), ("http://a/", &["b"])] {
            assert!(check(&request(uri, hosts)).is_ok(), "{uri} {hosts:?}");
        }
        for (uri, hosts) in
            [("/", &[][..]), ("http://u@a/", &[]), ("http://a/", &["b", "b"]), ("http://a:x/", &[])]
        {
            assert_eq!(check(&request(uri, hosts)).unwrap_err().status(), 400, "{uri} {hosts:?}");
        }
    }
}
