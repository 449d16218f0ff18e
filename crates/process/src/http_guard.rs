//! Protection of an HTTP listener from web pages: a browser on the same machine must not act for a page of another
//! site.
//!
//! A page reaches a listener on loopback in two ways. It posts to it, which a browser allows without asking for a few
//! media types. Or its own name begins to resolve to a loopback address (DNS rebinding), so that the browser takes the
//! listener for the page's own server and lets the page read the answers. `Origin` shows the first, `Host` the second.

mod answer_headers;
mod authority;
mod media_type;
mod refusal;

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use http::{HeaderMap, HeaderValue, Request, header};

use self::authority::Authority;
pub use self::{
    answer_headers::add_to_answer,
    authority::host_names,
    media_type::{JSON_MEDIA_TYPES, JsonType, non_blank_values},
    refusal::{Refusal, RefusedRequests},
};

/// Checks the requests of one connection by their heads.
#[derive(Clone, Debug)]
pub struct ListenerGuard {
    /// The address at which the connection arrived.
    local: SocketAddr,
    is_on_loopback: bool,
    /// Further names, without ports. [`host_names`] reads them.
    allowed: Arc<[String]>,
}

impl ListenerGuard {
    /// The guard of a connection that arrived at `local`. On loopback the names of its listener are this address,
    /// `localhost`, `127.0.0.1`, `[::1]` and `allowed`.
    #[must_use]
    pub fn new(local: SocketAddr, allowed: Arc<[String]>) -> Self {
        let local = SocketAddr::new(local.ip().to_canonical(), local.port());
        Self { local, is_on_loopback: local.ip().is_loopback(), allowed }
    }

    /// Checks the host and the transfer encoding of a request, and the origin of one that may change something.
    ///
    /// The host is checked on loopback alone: elsewhere a listener can't know its names. A request without a host, as
    /// in HTTP/1.0, passes, because every browser sends one. A request from a page of another origin passes with a
    /// JSON media type, because a browser does not send that before the listener has allowed it, and none does.
    ///
    /// # Errors
    /// [`Refusal::Host`] for a name that the listener does not have, [`Refusal::Origin`] for a page of another origin,
    /// [`Refusal::TransferEncoding`] for any coding besides chunked.
    pub fn check<B>(&self, request: &Request<B>) -> Result<(), Refusal> {
        if self.is_on_loopback && !hosts(request).all(|host| self.is_named(host)) {
            return Err(Refusal::Host);
        }
        if !is_chunked_alone(request.headers()) {
            return Err(Refusal::TransferEncoding);
        }
        if self.is_from_foreign_page(request) && JsonType::of(request.headers()).is_none() {
            return Err(Refusal::Origin);
        }
        Ok(())
    }

    /// Returns true if the request may change something, and comes from a page of another origin than the listener's.
    /// A browser names the origin in each such request; other senders name none.
    #[must_use]
    pub fn is_from_foreign_page<B>(&self, request: &Request<B>) -> bool {
        if request.method().is_safe() {
            return false;
        }
        let mut origins = request.headers().get_all(header::ORIGIN).iter();
        origins.any(|origin| !self.is_own_origin(origin, request))
    }

    /// The host of the request names the listener as the browser knows it. On loopback its other names with its port
    /// are the same listener.
    fn is_own_origin<B>(&self, origin: &HeaderValue, request: &Request<B>) -> bool {
        let origin = origin.to_str().ok().and_then(|origin| origin.strip_prefix("http://"));
        let Some(origin) = origin.and_then(Authority::parse) else { return false };
        let mut hosts = hosts(request).peekable();
        let is_host = hosts.peek().is_some()
            && hosts.all(|host| Authority::parse(host).is_some_and(|host| host.is_same(&origin)));
        is_host || self.is_on_loopback && origin.port() == self.local.port() && self.has_name(origin.name)
    }

    fn is_named(&self, host: &str) -> bool {
        Authority::parse(host).is_some_and(|host| self.has_name(host.name))
    }

    fn has_name(&self, name: &str) -> bool {
        let is_address = authority::address(name).is_some_and(|address| {
            address == Ipv4Addr::LOCALHOST || address == Ipv6Addr::LOCALHOST || address == self.local.ip()
        });
        is_address
            || name.eq_ignore_ascii_case("localhost")
            || self.allowed.iter().any(|allowed| name.eq_ignore_ascii_case(allowed))
    }
}

/// The hosts that the request names: in its target, or as `:authority` of HTTP/2, and in `Host`. One that is no text
/// is no name of a listener.
fn hosts<B>(request: &Request<B>) -> impl Iterator<Item = &str> {
    let headers = request.headers().get_all(header::HOST).iter();
    let headers = headers.filter(|host| !host.is_empty()).map(|host| host.to_str().unwrap_or("?"));
    request.uri().authority().map(|authority| authority.as_str()).into_iter().chain(headers)
}

/// hyper rejects an encoding that does not end with chunked. It does not decode a coding below chunked, so the body would
/// be taken for what it is not.
fn is_chunked_alone(headers: &HeaderMap) -> bool {
    let mut encodings = headers.get_all(header::TRANSFER_ENCODING).iter();
    match (encodings.next(), encodings.next()) {
        (None, _) => true,
        (Some(encoding), None) => encoding.as_bytes().eq_ignore_ascii_case(b"chunked"),
        (Some(_), Some(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use http::Version;

    use super::*;

    fn guard(local: &str) -> ListenerGuard {
        let allowed = host_names("weir.example, [fd00::1]").unwrap();
        ListenerGuard::new(local.parse().unwrap(), allowed.into())
    }

    fn host(local: &str, host: &str) -> Result<(), Refusal> {
        guard(local).check(&Request::get("/").header("host", host).body(()).unwrap())
    }

    #[test]
    fn a_listener_on_loopback_has_its_own_names_alone() {
        for own in [
            "localhost",
            "LocalHost:3001",
            "127.0.0.1",
            "127.0.0.1:3001",
            "127.0.0.2:1",
            "[::1]",
            "[::1]:3001",
            "[0:0:0:0:0:0:0:1]",
            "[::ffff:127.0.0.1]",
            "WEIR.example:80",
            "weir.example",
            "[FD00::1]:3001",
            "",
        ] {
            assert_eq!(host("127.0.0.2:3001", own), Ok(()), "{own}");
        }
        for foreign in [
            "evil.example",
            "evil.example:3001",
            "localhost.evil.example",
            "evil.localhost",
            "localhost.",
            "127.0.0.3",
            "127.0.0.1.evil.example",
            "[::2]",
            "::1",
            "[::1",
            "0.0.0.0:3001",
            "10.0.0.1",
            "localhost:evil",
            "localhost:80@evil.example",
            "evil@localhost",
            "http://localhost",
            "127.1",
            "2130706433",
            "0x7f.0.0.1",
        ] {
            assert_eq!(host("127.0.0.2:3001", foreign), Err(Refusal::Host), "{foreign}");
            assert_eq!(host("[::1]:3001", foreign), Err(Refusal::Host), "{foreign}");
            assert_eq!(host("[::ffff:127.0.0.1]:3001", foreign), Err(Refusal::Host), "{foreign}");
            assert_eq!(host("10.0.0.7:3001", foreign), Ok(()), "{foreign}");
        }
    }

    #[test]
    fn every_host_that_a_request_names_is_checked() {
        let check = |version: Version, uri: &str, hosts: &[&str]| {
            let request = Request::get(uri).version(version);
            let request = hosts.iter().fold(request, |request, host| request.header("host", *host));
            guard("127.0.0.1:3001").check(&request.body(()).unwrap())
        };
        assert_eq!(check(Version::HTTP_2, "http://localhost:3001/", &[]), Ok(()));
        assert_eq!(check(Version::HTTP_10, "/", &[]), Ok(()));
        for (uri, hosts) in [
            ("http://evil.example/", &[][..]),
            ("http://evil.example/", &["localhost"]),
            ("http://localhost/", &["evil.example"]),
            ("/", &["localhost", "evil.example"]),
        ] {
            for version in [Version::HTTP_11, Version::HTTP_2] {
                assert_eq!(check(version, uri, hosts), Err(Refusal::Host), "{version:?} {uri} {hosts:?}");
            }
        }
    }

    fn post(local: &str, headers: &[(&str, &str)]) -> Result<(), Refusal> {
        let request = Request::post("/").header("host", "127.0.0.1:3001");
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        guard(local).check(&request.body(()).unwrap())
    }

    #[test]
    fn a_page_of_another_origin_posts_nothing_but_json() {
        const FOREIGN: [&str; 10] = [
            "http://evil.example",
            "null",
            "",
            "https://127.0.0.1:3001",
            "http://127.0.0.1:3002",
            "http://127.0.0.1",
            "http://127.0.0.1:3001.evil.example",
            "127.0.0.1:3001",
            "http://127.0.0.1:3001/",
            "http://127.0.0.2:3001",
        ];
        for origin in FOREIGN {
            for local in ["127.0.0.1:3001", "10.0.0.7:3001"] {
                for other in
                    ["", "text/plain", "text/plain; application/json", "application/x-www-form-urlencoded"]
                {
                    let headers = [("origin", origin), ("content-type", other)];
                    assert_eq!(post(local, &headers), Err(Refusal::Origin), "{origin} {other}");
                }
                assert_eq!(post(local, &[("origin", origin)]), Err(Refusal::Origin), "{origin}");
                let headers = [("origin", origin), ("content-type", "application/json")];
                assert_eq!(post(local, &headers), Ok(()), "{origin}");
            }
        }
        let two = [("origin", "http://127.0.0.1:3001"), ("origin", "http://evil.example")];
        assert_eq!(post("127.0.0.1:3001", &two), Err(Refusal::Origin));
    }

    #[test]
    fn a_sender_without_an_origin_and_a_page_of_the_listener_post_anything() {
        for local in ["127.0.0.1:3001", "10.0.0.7:3001"] {
            assert_eq!(post(local, &[]), Ok(()));
            assert_eq!(post(local, &[("content-type", "text/plain")]), Ok(()));
            assert_eq!(post(local, &[("origin", "http://127.0.0.1:3001")]), Ok(()));
        }
        for own in ["http://localhost:3001", "http://[::1]:3001", "http://weir.example:3001"] {
            assert_eq!(post("127.0.0.1:3001", &[("origin", own)]), Ok(()), "{own}");
            assert_eq!(post("10.0.0.7:3001", &[("origin", own)]), Err(Refusal::Origin), "{own}");
        }
        let request =
            Request::post("/").header("host", "weir.example").header("origin", "http://weir.example:80");
        assert_eq!(guard("127.0.0.1:3001").check(&request.body(()).unwrap()), Ok(()));
        let request = Request::get("/").header("host", "localhost").header("origin", "http://evil.example");
        assert_eq!(guard("127.0.0.1:3001").check(&request.body(()).unwrap()), Ok(()));
    }

    #[test]
    fn a_body_has_no_transfer_coding_besides_chunked() {
        let check = |encodings: &[&str]| {
            let request = Request::post("/").header("host", "localhost");
            let request =
                encodings.iter().fold(request, |request, value| request.header("transfer-encoding", *value));
            guard("127.0.0.1:3001").check(&request.body(()).unwrap())
        };
        for chunked in [&[][..], &["chunked"], &["Chunked"]] {
            assert_eq!(check(chunked), Ok(()), "{chunked:?}");
        }
        for other in [
            &["gzip, chunked"][..],
            &["chunked, chunked"],
            &["chunked", "chunked"],
            &["gzip", "chunked"],
            &["gzip"],
            &["identity"],
            &[", chunked"],
            &["chunked "],
            &[""],
        ] {
            assert_eq!(check(other), Err(Refusal::TransferEncoding), "{other:?}");
        }
    }
}
