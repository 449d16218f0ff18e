//! Bodies: their types and encodings, and the limits of their size and time.

use std::time::Duration;

use async_compression::tokio::bufread::{GzipEncoder, ZstdEncoder};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::fake::{Running, config, event};
use crate::EdgeConfig;

async fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut compressed = Vec::new();
    GzipEncoder::new(bytes).read_to_end(&mut compressed).await.unwrap();
    compressed
}

async fn zstd(bytes: &[u8]) -> Vec<u8> {
    let mut compressed = Vec::new();
    ZstdEncoder::new(bytes).read_to_end(&mut compressed).await.unwrap();
    compressed
}

fn small(max_body_bytes: usize) -> EdgeConfig {
    EdgeConfig { max_body_bytes, ..config() }
}

#[tokio::test]
async fn a_compressed_body_is_accepted() {
    let edge = Running::start().await;
    let body = json!([event("a"), event("b")]).to_string();
    let parts = [gzip(&body.as_bytes()[..100]).await, gzip(&body.as_bytes()[100..]).await].concat();
    for (encoding, compressed) in [
        ("gzip", gzip(body.as_bytes()).await),
        ("GZIP", parts),
        ("zstd", zstd(body.as_bytes()).await),
        ("identity", body.clone().into_bytes()),
    ] {
        let answer = edge.post(&[("content-encoding", encoding)], compressed).await;
        assert_eq!((answer.status, &answer.json()["accepted"]), (202, &json!(2)), "{encoding}");
    }
}

#[tokio::test]
async fn a_body_that_can_t_be_decompressed_is_rejected() {
    let edge = Running::start().await;
    let body = event("a").to_string();
    let mut cut = gzip(body.as_bytes()).await;
    cut.truncate(cut.len() / 2);
    for (encoding, bytes) in [
        ("gzip", cut),
        ("gzip", body.clone().into_bytes()),
        ("zstd", body.into_bytes()),
        ("gzip", Vec::new()),
    ] {
        edge.post(&[("content-encoding", encoding)], bytes).await.assert_problem(400);
    }
    assert!(edge.sent().is_empty());
}

#[tokio::test]
async fn a_compressed_body_that_is_cut_or_has_trailing_bytes_is_rejected() {
    let edge = Running::start().await;
    let body = json!([event("a"), event("b")]).to_string();
    for (encoding, whole) in [("gzip", gzip(body.as_bytes()).await), ("zstd", zstd(body.as_bytes()).await)] {
        let twice = [&whole[..], &whole].concat();
        let cuts =
            [1, 4, 8, 9, whole.len() / 2, whole.len() - 1].map(|left| whole[..whole.len() - left].to_vec());
        let cut_twice =
            [1, whole.len() / 2, whole.len() - 1].map(|left| twice[..twice.len() - left].to_vec());
        let garbage = [&b"x"[..], b"garbage after the end", b"\x1f\x8b\x08"];
        let followed = garbage.map(|garbage| [&whole[..], garbage].concat());
        for bytes in [&cuts[..], &cut_twice, &followed].concat() {
            edge.post(&[("content-encoding", encoding)], bytes).await.assert_problem(400);
        }
    }
    assert!(edge.sent().is_empty());
}

#[tokio::test]
async fn gzip_with_reserved_flags_is_rejected_in_every_member() {
    let edge = Running::start().await;
    let body = json!([event("a"), event("b")]).to_string();
    let (first, second) = body.as_bytes().split_at(100);
    let members = [gzip(first).await, gzip(second).await, gzip(b" ").await];
    let bytewise = |bytes: Vec<u8>| {
        let pieces: Vec<Result<Vec<u8>, std::io::Error>> =
            bytes.into_iter().map(|byte| Ok(vec![byte])).collect();
        reqwest::Body::wrap_stream(futures::stream::iter(pieces))
    };
    for flag in [0x20, 0x40, 0x80, 0xe0] {
        for member in 0..members.len() {
            let mut marked = members.clone();
            marked[member][3] |= flag;
            for body in [marked.concat().into(), bytewise(marked.concat())] {
                let answer = edge.post(&[("content-encoding", "gzip")], body).await;
                let problem = answer.assert_problem(400);
                assert!(
                    problem["detail"].as_str().unwrap().starts_with("the body can't be read: "),
                    "{problem}"
                );
            }
        }
    }
    assert!(edge.sent().is_empty());
    // A header with a name, as gzip(1) writes it, and a comment.
    let mut named = gzip(first).await;
    named[3] |= 0x18;
    named.splice(10..10, *b"name\0comment\0");
    let answer =
        edge.post(&[("content-encoding", "gzip")], bytewise([named, members[1].clone()].concat())).await;
    assert_eq!((answer.status, &answer.json()["accepted"]), (202, &json!(2)));
}

#[tokio::test]
async fn an_empty_type_or_encoding_counts_as_absent() {
    let edge = Running::start().await;
    for headers in [
        [("content-type", ""), ("content-encoding", "")],
        [("content-type", " \t"), ("content-encoding", "  ")],
        [("content-type", "application/json; charset=utf8"), ("content-encoding", "")],
        [("content-type", "application/json; charset=\"UTF8\""), ("content-encoding", "identity")],
    ] {
        assert_eq!(edge.post(&headers, event("a").to_string()).await.status, 202, "{headers:?}");
    }
    for (types, status) in [
        (["application/json", "application/json"], 202),
        (["application/json", ""], 202),
        (["application/json", "application/json; charset=utf-8"], 202),
        (["application/json", "application/x-ndjson"], 415),
        (["application/json", "text/plain"], 415),
    ] {
        let answer =
            edge.post(&types.map(|media_type| ("content-type", media_type)), event("a").to_string()).await;
        assert_eq!(answer.status, status, "{types:?}");
    }
}

#[tokio::test]
async fn a_slash_after_the_path_changes_nothing() {
    let edge = Running::start().await;
    for path in ["/events/", "/webhook/", "/webhooks/", "/webhook", "/webhooks"] {
        let request = edge.client.post(edge.url(path)).body(event("a").to_string());
        assert_eq!(request.send().await.unwrap().status(), 202, "{path}");
    }
    let answer = edge.get("/events/").await;
    assert_eq!(answer.header("allow"), Some("POST"));
    answer.assert_problem(405);
    let metrics = edge.get("/metrics").await.text;
    assert!(!metrics.contains(r#"http_route="/events/""#), "{metrics}");
}

#[tokio::test]
async fn a_body_may_reach_the_limit_and_not_exceed_it() {
    let body = json!([event("a")]).to_string();
    let edge = Running::start_with(small(body.len())).await;
    let over = format!("{body} ");
    let chunked = |body: &str| {
        let pieces: Vec<Result<String, std::io::Error>> = vec![Ok(body.to_owned())];
        reqwest::Body::wrap_stream(futures::stream::iter(pieces))
    };
    assert_eq!(edge.post(&[], body.clone()).await.status, 202);
    assert_eq!(edge.post(&[], chunked(&body)).await.status, 202);
    assert_eq!(edge.post(&[("content-encoding", "gzip")], gzip(body.as_bytes()).await).await.status, 202);
    let limit = body.len().to_string();
    for answer in [
        edge.post(&[], over.clone()).await,
        edge.post(&[], chunked(&over)).await,
        edge.post(&[("content-encoding", "gzip")], gzip(over.as_bytes()).await).await,
        edge.post(&[("content-encoding", "zstd")], zstd(over.as_bytes()).await).await,
    ] {
        let problem = answer.assert_problem(413);
        assert!(problem["detail"].as_str().unwrap().contains(&limit), "{problem}");
    }
}

#[tokio::test]
async fn a_sender_that_expects_100_continue_is_rejected_before_it_sends() {
    let edge = Running::start_with(small(10)).await;
    let mut stream = TcpStream::connect(edge.address).await.unwrap();
    let head =
        b"POST /events HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\ncontent-length: 11\r\n\r\n";
    stream.write_all(head).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[tokio::test]
async fn a_decompression_bomb_is_not_decompressed() {
    let edge = Running::start_with(small(1 << 20)).await;
    let zeros = vec![b' '; 64 << 20];
    for (encoding, bomb) in [("gzip", gzip(&zeros).await), ("zstd", zstd(&zeros).await)] {
        assert!(bomb.len() < 1 << 20);
        edge.post(&[("content-encoding", encoding)], bomb).await.assert_problem(413);
    }
}

#[tokio::test]
async fn a_body_with_more_items_than_events_fit_in_it_is_rejected_whole() {
    let edge = Running::start().await;
    let good = |further: usize| format!("[{}{}]", event("a"), ",1".repeat(further));
    assert_eq!(edge.post(&[], good(999)).await.status, 202);
    let problem = edge.post(&[], good(1000)).await.assert_problem(413);
    assert!(problem["detail"].as_str().unwrap().contains("128 bytes"), "{problem}");
    let lines = [("content-type", "application/x-ndjson")];
    edge.post(&lines, "1\n".repeat(1001)).await.assert_problem(413);
    let packed = gzip("1\n".repeat(262_144).as_bytes()).await;
    edge.post(&[lines[0], ("content-encoding", "gzip")], packed).await.assert_problem(413);
    assert_eq!(edge.sent().len(), 1000);
}

#[tokio::test]
async fn the_rejection_of_an_unknown_type_or_encoding_names_the_known_ones() {
    let edge = Running::start().await;
    for media_type in ["text/plain", "application/json; charset=utf-16", "application/x-www-form-urlencoded"]
    {
        let problem = edge.post(&[("content-type", media_type)], "[]").await.assert_problem(415);
        assert!(problem["detail"].as_str().unwrap().contains("application/x-ndjson"), "{problem}");
    }
    for encoding in ["br", "gzip, zstd"] {
        let answer = edge.post(&[("content-encoding", encoding)], "[]").await;
        assert_eq!(answer.header("accept-encoding"), Some("gzip, zstd"));
        answer.assert_problem(415);
    }
}

#[tokio::test]
async fn a_body_that_is_no_json_is_rejected_before_an_item_is_sent() {
    let edge = Running::start().await;
    let cut = format!("[{},", event("a"));
    for body in [&b""[..], b" ", b"{", cut.as_bytes(), b"[\"\xff\"]", b"{}{}"] {
        edge.post(&[], body.to_vec()).await.assert_problem(400);
    }
    assert!(edge.sent().is_empty());
}

#[tokio::test]
async fn a_body_that_pauses_too_long_gets_408() {
    let config = EdgeConfig { body_stall_timeout: Duration::from_millis(50), ..config() };
    let edge = Running::start_with(config).await;
    let mut stream = TcpStream::connect(edge.address).await.unwrap();
    stream
        .write_all(b"POST /events HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n\r\n[")
        .await
        .unwrap();
    let answer = answer_of(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("application/problem+json"), "{answer}");
}

/// Opens a connection, writes all of `request` and then reads the response.
async fn write_then_read(edge: &Running, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(edge.address).await.unwrap();
    stream.write_all(request).await.unwrap();
    answer_of(&mut stream).await
}

/// Reads one response that has a content-length.
async fn answer_of(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&answer).into_owned();
        let length = text.split_once("\r\n\r\n").and_then(|(head, body)| {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            Some((length?.parse::<usize>().ok()?, body.len()))
        });
        if length.is_some_and(|(announced, came)| came >= announced) {
            return text;
        }
        assert!(stream.read_buf(&mut answer).await.unwrap() > 0, "the connection ended after {text:?}");
    }
}

fn chunked(head: &str, bytes: usize) -> Vec<u8> {
    const CHUNK: usize = 1 << 20;
    let chunk = [format!("{CHUNK:x}\r\n").as_bytes(), &[b' '; CHUNK], b"\r\n"].concat();
    let head = format!("{head} HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n");
    [head.as_bytes(), &chunk.repeat(bytes / CHUNK), b"0\r\n\r\n"].concat()
}

fn announced(head: &str, bytes: usize) -> Vec<u8> {
    let head = format!("{head} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {bytes}\r\n\r\n");
    [head.as_bytes(), &vec![b' '; bytes]].concat()
}

#[tokio::test]
async fn a_sender_that_writes_all_before_it_reads_gets_its_rejection() {
    let edge = Running::start().await;
    for (head, bytes, status) in [
        ("POST /nothing", 6 << 20, "404"),
        ("PUT /events", 6 << 20, "405"),
        ("POST /events", 70 << 20, "413"),
        ("POST /events", 6 << 20, "400"),
        ("POST /health/live", 6 << 20, "405"),
    ] {
        let closing = announced(&format!("{head} HTTP/1.1\r\nconnection: close\r\nx-rest:"), bytes);
        let older = announced(&format!("{head} HTTP/1.0\r\nx-rest:"), bytes);
        for request in [announced(head, bytes), chunked(head, bytes), closing, older] {
            let answer = write_then_read(&edge, &request).await;
            assert!(answer[8..].starts_with(&format!(" {status}")), "{head}: {answer}");
            assert!(answer.contains("x-correlation-id"), "{head}: {answer}");
        }
    }
    assert!(edge.sent().is_empty());
}

#[tokio::test]
async fn a_body_that_is_rejected_for_its_bytes_is_read_to_its_end() {
    let edge = Running::start().await;
    let garbage = vec![0xff; 6 << 20];
    for encoding in ["gzip", "zstd", "br"] {
        let head = format!(
            "POST /events HTTP/1.1\r\nhost: localhost\r\ncontent-encoding: {encoding}\r\ncontent-length: {}\r\n\r\n",
            garbage.len()
        );
        let answer = write_then_read(&edge, &[head.as_bytes(), &garbage].concat()).await;
        let status = if encoding == "br" { "415" } else { "400" };
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{encoding}: {answer}");
    }
}

#[tokio::test]
async fn a_rejection_arrives_before_the_end_of_the_body_and_the_connection_stays_open() {
    let edge = Running::start().await;
    let mut stream = TcpStream::connect(edge.address).await.unwrap();
    let request = announced("POST /nothing", 6 << 20);
    let (first, rest) = request.split_at(1000);
    stream.write_all(first).await.unwrap();
    let answer = answer_of(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    stream.write_all(rest).await.unwrap();
    let body = event("a").to_string();
    let next =
        format!("POST /events HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    stream.write_all(next.as_bytes()).await.unwrap();
    let answer = answer_of(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
}

#[tokio::test]
async fn a_rejection_over_http_2_is_complete() {
    let edge = Running::start().await;
    let client = Client::builder(TokioExecutor::new()).http2_only(true).build_http::<Full<Bytes>>();
    for (path, bytes, status) in [("/nothing", 6 << 20, 404), ("/events", 70 << 20, 413), ("/events", 0, 400)]
    {
        let request = Request::post(edge.url(path)).body(Full::from(vec![b' '; bytes])).unwrap();
        let answer = client.request(request).await.unwrap();
        assert_eq!(answer.status(), status);
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        assert!(String::from_utf8_lossy(&body).contains("correlationId"));
    }
}
