//! Hostile bodies, many at once: compressed bombs, bodies without an end, false content lengths, and bodies of junk.

use std::time::{Duration, Instant};

use async_compression::tokio::bufread::{GzipEncoder, ZstdEncoder};
use bytes::Bytes;
use futures::{future::join_all, stream};
use reqwest::{Body, StatusCode};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
};
use weir_testkit::{Storage, Weir, soak};

use super::good_client::GoodClient;

const MIB: usize = 1 << 20;
const MOST_BODY: usize = 4 * MIB;
const MOST_IN_FLIGHT: usize = 64 * MIB;
/// The memory of the edge and the other roles beside the bodies in flight: buffers of connections, decoders with their
/// windows, and free memory that the allocator keeps.
const BESIDES: usize = 160 * MIB;
/// The size of a decompressed bomb.
const UNPACKED: u64 = 128 * MIB as u64;
const STALL: Duration = Duration::from_secs(3);

/// A Weir on files whose edge has small bounds.
async fn small_edge() -> Weir {
    let settings = vec![
        ("EDGE_MAX_BODY_BYTES", MOST_BODY.to_string()),
        ("EDGE_MAX_IN_FLIGHT_BYTES", MOST_IN_FLIGHT.to_string()),
        ("EDGE_BODY_STALL_TIMEOUT_MS", STALL.as_millis().to_string()),
    ];
    Weir::up_with(Storage::Files, settings).await
}

/// The number of hostile requests at the same time.
fn at_once() -> usize {
    if soak() { 64 } else { 12 }
}

#[tokio::test(flavor = "multi_thread")]
async fn bombs_are_refused_and_memory_stays_flat() {
    let weir = small_edge().await;
    let zeros = || BufReader::new(tokio::io::repeat(b' ').take(UNPACKED));
    let gzip = compressed_bytes(GzipEncoder::new(zeros())).await;
    let zstd = compressed_bytes(ZstdEncoder::new(zeros())).await;
    let mut client = GoodClient::of(&weir);
    let before = client.posts(20).await;
    let bombs = join_all((0..at_once()).map(|number| {
        let (encoding, bomb) = if number % 2 == 0 { ("gzip", &gzip) } else { ("zstd", &zstd) };
        weir.send(weir.request("/events").header("content-encoding", encoding).body(bomb.clone()))
    }));
    let (answers, during) = client.posts_during(bombs).await;
    let (too_large, overloaded): (Vec<_>, Vec<_>) =
        answers.iter().partition(|answer| answer.status == StatusCode::PAYLOAD_TOO_LARGE);
    assert!(!too_large.is_empty());
    for answer in &too_large {
        answer.expect_problem(StatusCode::PAYLOAD_TOO_LARGE);
        let detail = answer.body["detail"].as_str().unwrap_or_default();
        assert!(detail.contains(&MOST_BODY.to_string()), "{answer:?}");
    }
    // Bombs beyond the bound on bodies in flight are refused as overload.
    overloaded.iter().for_each(|answer| answer.expect_problem(StatusCode::SERVICE_UNAVAILABLE));
    expect_flat(
        &weir,
        &format!(
            "{} bombs, {} of them overloaded; before: {before}; during: {during}",
            answers.len(),
            overloaded.len()
        ),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_without_an_end_are_cut_off_and_memory_stays_flat() {
    let weir = small_edge().await;
    let mut client = GoodClient::of(&weir);
    let endless = join_all((0..at_once()).map(|_| {
        let pieces = stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from_static(&[b' '; 64 * 1024])));
        weir.request("/events").body(Body::wrap_stream(pieces)).send()
    }));
    let (answers, during) = client.posts_during(endless).await;
    let statuses: Vec<_> = answers.iter().flatten().map(reqwest::Response::status).collect();
    let refused = [StatusCode::PAYLOAD_TOO_LARGE, StatusCode::SERVICE_UNAVAILABLE];
    assert!(statuses.iter().all(|status| refused.contains(status)), "{statuses:?}");
    // A client that never stops sending may find the connection closed before it reads an answer.
    assert!(!statuses.is_empty(), "no client has an answer");
    expect_flat(&weir, &format!("{} of {} were answered; during: {during}", statuses.len(), at_once()));
}

#[tokio::test(flavor = "multi_thread")]
async fn false_content_lengths_hold_no_room_that_other_requests_need() {
    let weir = small_edge().await;
    // Together the requests announce many times the bound on bodies in flight.
    let silent = join_all((0..4 * at_once()).map(|_| raw_answer(&weir, MOST_BODY, b"[")));
    let mut client = GoodClient::of(&weir);
    let (silent, during) = client.posts_during(silent).await;
    assert!(silent.iter().all(|answer| answer.starts_with("HTTP/1.1 408")), "{silent:?}");
    assert!(during.count() > 1, "{during}");
    let over = raw_answer(&weir, MOST_BODY + 1, b"[").await;
    assert!(over.starts_with("HTTP/1.1 413"), "{over}");
    // The bytes after the announced length are read as another request, which is malformed.
    let more = raw_answer(&weir, 2, b"[]17 and more\r\n\r\n").await;
    assert!(more.starts_with("HTTP/1.1 202") && more.contains("HTTP/1.1 400"), "{more}");
    expect_flat(&weir, &format!("{} silent requests; during: {during}", 4 * at_once()));
}

#[tokio::test(flavor = "multi_thread")]
async fn millions_of_tiny_items_are_refused_and_thousands_starve_no_client() {
    let weir = small_edge().await;
    let mut client = GoodClient::of(&weir);
    let before = client.posts(20).await;
    let millions = format!("[{}1]", "1,".repeat((MOST_BODY - 4) / 2));
    let began = Instant::now();
    let refused = weir.post_bytes("application/json", millions).await;
    refused.expect_problem(StatusCode::PAYLOAD_TOO_LARGE);
    let took = began.elapsed();
    // The largest number of items for a body of this size; each is a number of 127 digits with a comma.
    let count = 16_000;
    let thousands = (0..count).map(|number| format!("1{number:0126}")).collect::<Vec<_>>().join(",");
    let thousands = weir.post_bytes("application/json", format!("[{thousands}]"));
    let (rejected, during) = client.posts_during(thousands).await;
    rejected.expect_problem(StatusCode::BAD_REQUEST);
    assert_eq!(rejected.body["rejected"], count, "{rejected:?}");
    assert_eq!(rejected.body["errorsTruncated"], true, "{rejected:?}");
    assert!(during.count() > 1, "{during}");
    expect_flat(
        &weir,
        &format!(
            "2 million items refused in {took:.1?}; before: {before}; beside {count} bad items: {during}"
        ),
    );
}

/// Expects a bounded peak of memory; prints it with the other figures.
fn expect_flat(weir: &Weir, figures: &str) {
    let memory = weir.peak_memory();
    eprintln!("{figures}; peak memory {} MiB", memory >> 20);
    assert!(memory < (MOST_IN_FLIGHT + BESIDES) as u64, "{memory} bytes");
}

async fn compressed_bytes(mut encoder: impl AsyncRead + Unpin) -> Vec<u8> {
    let mut bytes = Vec::new();
    encoder.read_to_end(&mut bytes).await.expect("memory can be read");
    bytes
}

/// Sends a body with this announced length; returns all bytes that the edge sends until it closes the connection.
async fn raw_answer(weir: &Weir, announced: usize, body: &[u8]) -> String {
    let mut stream = TcpStream::connect(weir.addresses.edge).await.unwrap();
    let head = format!("POST /events HTTP/1.1\r\nhost: localhost\r\ncontent-length: {announced}\r\n\r\n");
    stream.write_all(&[head.as_bytes(), body].concat()).await.unwrap();
    let mut received = Vec::new();
    // A reset ends the connection too.
    stream.read_to_end(&mut received).await.ok();
    String::from_utf8_lossy(&received).into_owned()
}
