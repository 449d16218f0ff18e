//! Connections: timeouts of slow and idle ones, the limit, half-closed ones and the shutdown.

use std::{sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::Semaphore,
};

use super::fake::{Running, config, event};
use crate::EdgeConfig;

fn short_timeouts() -> EdgeConfig {
    let soon = Duration::from_millis(100);
    EdgeConfig { header_timeout: soon, idle_timeout: soon, ..config() }
}

/// Reads until the edge closes the connection.
async fn until_closed(mut stream: TcpStream) -> Vec<u8> {
    let mut received = Vec::new();
    // A reset is a close too.
    let _ = stream.read_to_end(&mut received).await;
    received
}

#[tokio::test]
async fn a_connection_with_no_head_or_half_of_one_is_closed() {
    let edge = Running::start_with(short_timeouts()).await;
    for begun in [&b""[..], b"P", b"PRI * HTTP/2.0", b"GET /health/live HTTP/1.1\r\nhost:"] {
        let mut stream = TcpStream::connect(edge.address).await.unwrap();
        stream.write_all(begun).await.unwrap();
        until_closed(stream).await;
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_its_response() {
    let edge = Running::start_with(short_timeouts()).await;
    let mut stream = TcpStream::connect(edge.address).await.unwrap();
    stream.write_all(b"GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    assert!(until_closed(stream).await.starts_with(b"HTTP/1.1 200"));
}

const LIVE: &[u8] = b"GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n";

/// Reads the response to [`LIVE`].
async fn read_live(stream: &mut TcpStream) {
    let mut answer = Vec::new();
    while !answer.ends_with(b"}") {
        assert!(stream.read_buf(&mut answer).await.unwrap() > 0, "{}", String::from_utf8_lossy(&answer));
    }
    assert!(answer.starts_with(b"HTTP/1.1 200"));
}

#[tokio::test]
async fn an_idle_connection_outlives_the_timeout_of_a_head() {
    let edge =
        Running::start_with(EdgeConfig { header_timeout: Duration::from_millis(100), ..config() }).await;
    let mut stream = TcpStream::connect(edge.address).await.unwrap();
    for _ in 0..3 {
        stream.write_all(LIVE).await.unwrap();
        read_live(&mut stream).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

#[tokio::test]
async fn a_later_head_that_arrives_byte_by_byte_is_timed_out() {
    let edge =
        Running::start_with(EdgeConfig { header_timeout: Duration::from_millis(300), ..config() }).await;
    let mut stream = TcpStream::connect(edge.address).await.unwrap();
    stream.write_all(LIVE).await.unwrap();
    read_live(&mut stream).await;
    let (read, mut write) = stream.split();
    let slowly = async {
        while write.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let mut read = read;
    tokio::select! {
        () = slowly => {}
        _ = read.read_u8() => {}
    }
}

#[tokio::test]
async fn a_request_in_flight_is_never_idle() {
    let edge = Running::start_with(short_timeouts()).await;
    let permits = Arc::new(Semaphore::new(0));
    edge.script(|script| script.permits = Some(Arc::clone(&permits)));
    let request = post(&event("a").to_string());
    let mut stream = TcpStream::connect(edge.address).await.unwrap();
    let (head, body) = request.split_at(request.len() - 6);
    stream.write_all(head.as_bytes()).await.unwrap();
    for byte in body.as_bytes() {
        tokio::time::sleep(Duration::from_millis(60)).await;
        stream.write_all(&[*byte]).await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    permits.add_permits(1);
    assert!(until_closed(stream).await.starts_with(b"HTTP/1.1 202"));
}

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap();
    [&[0, 0, length, kind, flags, 0, 0, 0, stream], payload].concat()
}

#[tokio::test]
async fn pings_do_not_keep_an_idle_http_2_connection_open() {
    const HEADERS: &[u8] = b"\x82\x86\x44\x0c/health/live\x41\x09localhost";
    let edge = Running::start_with(short_timeouts()).await;
    let mut stream = TcpStream::connect(edge.address).await.unwrap();
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    let opening = [preface, frame(4, 0, 0, &[]), frame(1, 5, 1, HEADERS)].concat();
    stream.write_all(&opening).await.unwrap();
    let (mut read, mut write) = stream.into_split();
    let pings = async {
        while write.write_all(&frame(6, 0, 0, &[0; 8])).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        std::future::pending::<()>().await;
    };
    let mut received = Vec::new();
    tokio::select! {
        () = pings => {}
        _ = read.read_to_end(&mut received) => {}
    }
    let goaway = frame(7, 0, 0, &[0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
    assert!(received.windows(goaway.len()).any(|part| part == goaway), "{received:x?}");
    assert!(String::from_utf8_lossy(&received).contains("live"), "{received:x?}");
}

#[tokio::test]
async fn a_connection_over_the_limit_waits() {
    let edge = Running::start_with(EdgeConfig { max_connections: 1, ..short_timeouts() }).await;
    let first = TcpStream::connect(edge.address).await.unwrap();
    let mut second = TcpStream::connect(edge.address).await.unwrap();
    second.write_all(b"GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    // The edge serves it after it has closed the silent first one.
    assert!(until_closed(second).await.starts_with(b"HTTP/1.1 200"));
    assert!(until_closed(first).await.is_empty());
}

#[tokio::test]
async fn a_request_in_flight_is_answered_at_shutdown() {
    let mut edge = Running::start().await;
    let body = event("a").to_string();
    let (first, rest) = body.split_at(10);
    let head =
        format!("POST /events HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n{first}", body.len());
    let mut stream = TcpStream::connect(edge.address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    while !edge.get("/metrics").await.text.contains("weir_edge_body_bytes_in_flight 4096") {
        tokio::task::yield_now().await;
    }
    edge.stop.cancel();
    while TcpStream::connect(edge.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    stream.write_all(rest.as_bytes()).await.unwrap();
    let answer = until_closed(stream).await;
    assert!(answer.starts_with(b"HTTP/1.1 202"), "{}", String::from_utf8_lossy(&answer));
    (&mut edge.ended).await.unwrap().unwrap();
}

/// Sends `request`, closes the writing half, and reads until the edge closes the connection.
async fn half_closed(edge: &Running, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(edge.address).await.unwrap();
    stream.write_all(request).await.unwrap();
    stream.shutdown().await.unwrap();
    String::from_utf8(until_closed(stream).await).unwrap()
}

fn post(body: &str) -> String {
    format!("POST /events HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

fn chunked(body: &str) -> String {
    format!(
        "POST /events HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
        body.len()
    )
}

#[tokio::test]
async fn a_sender_that_has_closed_its_writing_half_gets_its_response() {
    let edge = Running::start().await;
    for request in [post, chunked] {
        let answer = half_closed(&edge, request(&event("a").to_string()).as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    }
    let refused = half_closed(&edge, post("nothing").as_bytes()).await;
    assert!(refused.starts_with("HTTP/1.1 400") && refused.contains("correlationId"), "{refused}");
}

#[tokio::test]
async fn a_sender_over_http_2_that_has_closed_its_writing_half_gets_its_responses() {
    const HEADERS: &[u8] = b"\x83\x86\x44\x07/events\x41\x09localhost";
    let edge = Running::start().await;
    let mut stream = TcpStream::connect(edge.address).await.unwrap();
    let mut opening = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(4, 0, 0, &[])].concat();
    for (number, id) in [(1, "a"), (3, "b")] {
        let body = event(id).to_string();
        let (first, rest) = body.as_bytes().split_at(200);
        let frames = [frame(1, 4, number, HEADERS), frame(0, 0, number, first), frame(0, 1, number, rest)];
        opening.extend(frames.concat());
    }
    stream.write_all(&opening).await.unwrap();
    stream.shutdown().await.unwrap();
    let received = until_closed(stream).await;
    assert_eq!(String::from_utf8_lossy(&received).matches("\"accepted\":1").count(), 2, "{received:x?}");
    assert_eq!(edge.sent().len(), 2);
}

#[tokio::test]
async fn every_pipelined_request_is_answered_after_the_writing_half_is_closed() {
    let edge = Running::start().await;
    let requests = ["a", "b", "c"].map(|id| post(&event(id).to_string())).concat();
    let answers =
        half_closed(&edge, (requests + "GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n").as_bytes())
            .await;
    assert_eq!(answers.matches("HTTP/1.1 202").count(), 3, "{answers}");
    assert_eq!(answers.matches("HTTP/1.1 200").count(), 1, "{answers}");
    assert_eq!(edge.sent().len(), 3);
}

#[tokio::test]
async fn a_request_that_is_cut_off_stores_no_item() {
    let edge = Running::start().await;
    let body = event("a").to_string();
    let (whole, pieces) = (post(&body), chunked(&body));
    for cut in [
        &whole[..10],
        &whole[..60],
        &whole[..whole.len() - 1],
        &pieces[..pieces.len() - 8],
        &pieces[..pieces.len() - 2],
    ] {
        let answer = half_closed(&edge, cut.as_bytes()).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{cut}: {answer}");
        assert!(!answer.contains("error reading"), "the response names the cause: {answer}");
    }
    assert!(edge.sent().is_empty());
}

#[tokio::test]
async fn a_disconnected_sender_leaves_no_connection_behind() {
    let edge =
        Running::start_with(EdgeConfig { request_timeout: Duration::from_millis(200), ..config() }).await;
    edge.script(|script| script.silent = true);
    for request in [
        post(&event("a").to_string()),
        "POST /events HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\n[".into(),
    ] {
        let mut stream = TcpStream::connect(edge.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        drop(stream);
    }
    while !edge.get("/metrics").await.text.contains("weir_connections{listener=\"edge\"} 1\n") {
        tokio::task::yield_now().await;
    }
}
