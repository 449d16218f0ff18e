//! Requests that the edge rejects.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use hyper::client::conn::http2;
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioIo},
};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use weir_process::Reason;

use super::fake::{Running, config, event};
use crate::EdgeConfig;

#[tokio::test]
async fn an_unusable_journal_is_a_503_with_a_retry_after() {
    let edge = Running::start().await;
    for (reason, error_type) in [
        (Reason::JournalFull, "journal_full"),
        (Reason::JournalUnavailable, "journal_unavailable"),
        (Reason::Overloaded, "overloaded"),
    ] {
        edge.script(|script| script.refusal = Some(reason));
        let answer = edge.post(&[], json!([event("a"), event("b")]).to_string()).await;
        let problem = answer.assert_problem(503);
        assert_eq!(problem["reason"], json!(reason.name()));
        assert!(problem.get("accepted").is_none());
        assert!(answer.header("retry-after").unwrap().parse::<u32>().unwrap() >= 1);
        let metrics = edge.get("/metrics").await.text;
        let counted =
            format!(r#"events_failed_total{{service="edge",source="tiktok",error_type="{error_type}"}} 2"#);
        assert!(metrics.contains(&counted), "{counted} is missing in\n{metrics}");
    }
    assert!(!edge.get("/metrics").await.text.contains("events_accepted_total{"));
}

#[tokio::test]
async fn an_exceeded_quota_is_a_429_and_an_invalid_call_of_the_edge_is_a_500() {
    let edge = Running::start().await;
    for (reason, status) in [(Reason::QuotaExceeded, 429), (Reason::InvalidRequest, 500)] {
        edge.script(|script| script.refusal = Some(reason));
        edge.post(&[], event("a").to_string()).await.assert_problem(status);
    }
}

#[tokio::test]
async fn a_post_without_any_ingest_is_a_503() {
    let edge = Running::start_alone(config()).await;
    let answer = edge.post(&[], event("a").to_string()).await;
    assert_eq!(answer.assert_problem(503)["reason"], json!("JOURNAL_UNAVAILABLE"));
    assert!(answer.header("retry-after").is_some());
}

#[tokio::test]
async fn a_silent_ingest_is_a_503_at_the_deadline() {
    let config = EdgeConfig { request_timeout: Duration::from_millis(100), ..config() };
    let edge = Running::start_with(config).await;
    edge.script(|script| script.silent = true);
    edge.post(&[], event("a").to_string()).await.assert_problem(503);
}

#[tokio::test]
async fn an_unknown_path_or_method_is_a_problem() {
    let edge = Running::start().await;
    edge.get("/nothing").await.assert_problem(404);
    edge.get("/api/nothing").await.assert_problem(404);
    let answer = edge.get("/events").await;
    assert_eq!(answer.header("allow"), Some("POST"));
    answer.assert_problem(405);
}

#[tokio::test]
async fn every_response_names_its_correlation_id() {
    let edge = Running::start().await;
    for (sent, kept) in [("a.B_9:-", true), ("with space", false), (&*"x".repeat(129), false)] {
        for path in ["/events", "/nothing", "/health/live"] {
            let request = edge.client.post(edge.url(path)).header("x-correlation-id", sent);
            let answer = request.body("[]").send().await.unwrap();
            let id = answer.headers()["x-correlation-id"].to_str().unwrap();
            assert_eq!(id == sent, kept, "{path}: {id}");
        }
    }
}

/// Sends a raw request on a connection of its own, closes the writing half, and returns the response.
async fn raw(edge: &Running, request: &str) -> String {
    let mut stream = TcpStream::connect(edge.address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[track_caller]
fn assert_refused(answer: &str, status: u16, request: &str) {
    assert!(answer.split(' ').nth(1) == Some(&status.to_string()), "{request:.300}: {answer}");
    assert!(answer.contains("application/problem+json") && answer.contains("x-correlation-id"), "{answer}");
}

#[tokio::test]
async fn a_request_with_a_missing_repeated_or_invalid_host_is_rejected() {
    let edge = Running::start().await;
    for hosts in [
        "",
        "host: a\r\nhost: b\r\n",
        "host: a\r\nHOST: a\r\n",
        "host: a:b\r\n",
        "host: u@a\r\n",
        "host: a b\r\n",
    ] {
        for line in ["GET /health/live", "GET /nothing", "GET http://a/health/live"] {
            let request = format!("{line} HTTP/1.1\r\n{hosts}\r\n");
            assert_refused(&raw(&edge, &request).await, 400, &request);
        }
    }
    let body = event("a");
    let post = format!("POST /events HTTP/1.1\r\ncontent-length: {}\r\n\r\n{body}", body.to_string().len());
    assert_refused(&raw(&edge, &post).await, 400, &post);
    assert!(edge.sent().is_empty());
    for (version, hosts, status) in [
        ("1.0", "", 200),
        ("1.0", "host: localhost\r\n", 200),
        ("1.0", "host: a\r\nhost: a\r\n", 400),
        ("1.1", "host:\r\n", 200),
        ("1.1", "host: localhost:3001\r\n", 200),
        ("1.1", "host: [::1]:3001\r\n", 200),
    ] {
        let answer = raw(&edge, &format!("GET /health/live HTTP/{version}\r\n{hosts}\r\n")).await;
        assert!(answer.split(' ').nth(1) == Some(&status.to_string()), "{version} {hosts}: {answer}");
    }
}

#[tokio::test]
async fn a_name_of_the_settings_is_a_host_of_the_listener_and_another_is_not() {
    let edge =
        Running::start_with(EdgeConfig { allowed_hosts: Arc::from(["weir.example".into()]), ..config() })
            .await;
    let get = |host: &str| format!("GET /health/live HTTP/1.1\r\nhost: {host}\r\n\r\n");
    for host in ["weir.example", "WEIR.example:3001", "127.0.0.1", "[::1]:1"] {
        assert!(raw(&edge, &get(host)).await.starts_with("HTTP/1.1 200"), "{host}");
    }
    let answer = raw(&edge, &get("evil.example")).await;
    assert_refused(&answer, 421, "a foreign host");
    assert!(answer.contains("localhost") && answer.contains("EDGE_ALLOWED_HOSTS"), "{answer}");
}

#[tokio::test]
async fn a_foreign_authority_over_http_2_is_rejected() {
    let edge = Running::start().await;
    let stream = TokioIo::new(TcpStream::connect(edge.address).await.unwrap());
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    tokio::spawn(connection);
    for (authority, status) in [("localhost", 200), ("evil.example", 421), ("evil.example:3001", 421)] {
        let request = Request::get(format!("http://{authority}/health/live")).body(Full::<Bytes>::default());
        let answer = sender.send_request(request.unwrap()).await.unwrap();
        assert_eq!(answer.status(), status, "{authority}");
        assert!(answer.headers().contains_key("x-content-type-options"));
    }
}

#[tokio::test]
async fn a_page_of_another_origin_posts_nothing_without_a_json_media_type() {
    let edge = Running::start().await;
    let foreign = [("origin", "http://evil.example")];
    let problem = edge.post(&foreign, "[]").await.assert_problem(403);
    assert!(problem["detail"].as_str().unwrap().contains("application/x-ndjson"), "{problem}");
    edge.post(&[foreign[0], ("content-type", "text/plain")], "[]").await.assert_problem(403);
    assert_eq!(edge.post(&[foreign[0], ("content-type", "application/json")], "[]").await.status, 202);
    assert_eq!(edge.post(&[("origin", &*edge.url(""))], "[]").await.status, 202);
    assert_eq!(edge.post(&[], "[]").await.status, 202);
    edge.post(&[("content-type", "text/plain")], "[]").await.assert_problem(415);
}

#[tokio::test]
async fn a_transfer_encoding_other_than_chunked_is_rejected() {
    let edge = Running::start().await;
    for encodings in [
        "transfer-encoding: gzip, chunked\r\n",
        "transfer-encoding: chunked, chunked\r\n",
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: identity\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: , chunked\r\n",
    ] {
        let request =
            format!("POST /events HTTP/1.1\r\nhost: localhost\r\n{encodings}\r\n2\r\n[]\r\n0\r\n\r\n");
        assert_refused(&raw(&edge, &request).await, 400, &request);
    }
    let request =
        "POST /events HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: Chunked\r\n\r\n2\r\n[]\r\n0\r\n\r\n";
    assert!(raw(&edge, request).await.starts_with("HTTP/1.1 202"));
}

#[tokio::test]
async fn a_head_may_reach_its_limits_and_not_exceed_them() {
    let edge = Running::start().await;
    let of = |fields: usize| {
        format!("GET /health/live HTTP/1.1\r\nhost: localhost\r\n{}\r\n", "x: y\r\n".repeat(fields - 1))
    };
    let long = |bytes: usize| {
        format!(
            "GET /health/live HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n",
            "y".repeat(bytes - "hostlocalhostx".len())
        )
    };
    assert!(raw(&edge, &of(100)).await.starts_with("HTTP/1.1 200"));
    assert!(raw(&edge, &long(32 << 10)).await.starts_with("HTTP/1.1 200"));
    for (request, limit) in [
        (of(101), "100"),
        (of(500), "100"),
        (long((32 << 10) + 1), "32768"),
        (long(100 << 10), "32768"),
        (long(300 << 10), "32768"),
    ] {
        let answer = raw(&edge, &request).await;
        assert_refused(&answer, 431, &request);
        assert!(answer.contains(limit), "{answer}");
    }
    let long_path = format!("GET /{} HTTP/1.1\r\nhost: localhost\r\n\r\n", "y".repeat(60_000));
    assert_refused(&raw(&edge, &long_path).await, 404, &long_path);
    assert!(edge.get("/metrics").await.text.contains(r#"http_response_status_code="431""#));
}

#[tokio::test]
async fn a_head_over_http_2_has_the_same_limits() {
    let edge = Running::start().await;
    let client = Client::builder(TokioExecutor::new()).http2_only(true).build_http::<Full<Bytes>>();
    for (name, values, bytes, status) in [
        ("x", 10, 10, 200),
        ("x", 101, 1, 431),
        ("x", 1, 40 << 10, 431),
        ("host", 1, 1, 421),
        ("host", 2, 1, 400),
    ] {
        let request = (0..values).fold(Request::get(edge.url("/health/live")), |request, _| {
            request.header(name, "y".repeat(bytes))
        });
        let answer = client.request(request.body(Full::default()).unwrap()).await.unwrap();
        assert_eq!(answer.status(), status, "{values} of {bytes} bytes");
        assert!(answer.headers().contains_key("x-correlation-id"));
    }
}
