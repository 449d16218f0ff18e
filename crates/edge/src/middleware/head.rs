//! The rules for the head of every request, whatever its path.
//!
//! A proxy in front of the edge may read an ambiguous head otherwise than the edge does. So it is refused.

use std::net::Ipv6Addr;

use http::{HeaderMap, HeaderValue, Request, StatusCode, Version, header, uri::Authority};

use crate::problem::Problem;

/// A sender has about ten.
const MOST_FIELDS: usize = 100;
/// Of names and values together; the URI is not counted.
const MOST_BYTES: usize = 32 << 10;

/// Refuses a head that is too large, and one that doesn't say clearly for which host it is or where its body ends.
pub(crate) fn check<B>(request: &Request<B>) -> Result<(), Problem> {
    check_size(request.headers())?;
    check_host(request)?;
    check_transfer_encoding(request.headers())
}

fn check_size(headers: &HeaderMap) -> Result<(), Problem> {
    let too_large = |detail| Problem::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, detail);
    let fields = headers.len();
    if fields > MOST_FIELDS {
        let detail = format!("the request has {fields} header fields, over the limit of {MOST_FIELDS}");
        return Err(too_large(detail));
    }
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if bytes > MOST_BYTES {
        let detail =
            format!("the header fields have {bytes} bytes together, over the limit of {MOST_BYTES} bytes");
        return Err(too_large(detail));
    }
    Ok(())
}

/// HTTP/1.0 may leave the host out, and HTTP/2 says it in the pseudo-header :authority.
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

/// An empty one is allowed: it says that the target has no host.
fn is_host(value: &HeaderValue) -> bool {
    value.is_empty() || Authority::try_from(value.as_bytes()).is_ok_and(|authority| is_plain(&authority))
}

/// Has a host, no user, and a port only if it is one.
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

/// hyper refuses what does not end with chunked; a coding below it would be taken for the body itself.
fn check_transfer_encoding(headers: &HeaderMap) -> Result<(), Problem> {
    let mut encodings = headers.get_all(header::TRANSFER_ENCODING).iter();
    match (encodings.next(), encodings.next()) {
        (None, _) => Ok(()),
        (Some(encoding), None) if encoding.as_bytes().eq_ignore_ascii_case(b"chunked") => Ok(()),
        _ => Err(Problem::bad_request("the transfer encoding must be chunked, once and alone")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_and_perhaps_a_port() {
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
    fn over_http_2_the_authority_counts() {
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
