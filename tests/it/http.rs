//! The HTTP interface of the edge: bodies, encodings, aliases and refusals.

use async_compression::tokio::bufread::{GzipEncoder, ZstdEncoder};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _, BufReader};
use weir_testkit::{Weir, events::Sender};

on_files_and_on_servers!(
    an_object_an_array_and_ndjson_are_accepted,
    compressed_bodies_are_accepted,
    a_body_that_is_no_json_is_refused_whole,
    bodies_over_the_limit_and_unknown_media_types_are_refused,
    the_interface_describes_itself,
);

/// The limit of a body after decompression: 64 MiB.
const LIMIT: u64 = 64 << 20;

async fn an_object_an_array_and_ndjson_are_accepted(weir: Weir) {
    let events = Sender::new("bodies", 5).events(6);
    for (path, event) in ["/events", "/webhook", "/webhooks"].into_iter().zip(&events) {
        weir.send(weir.request(path).json(event)).await.expect_accepted(1, 0);
    }
    weir.post(&json!([])).await.expect_accepted(0, 0);
    weir.post(&json!([events[3]])).await.expect_accepted(1, 0);
    let lines = format!("{}\n\n{{\"eventId\": oops\n{}\r\n", events[4], events[5]);
    let answer = weir.post_bytes("application/x-ndjson", lines).await;
    answer.expect_accepted(2, 1);
    assert_eq!(answer.body["errors"].as_array().map(Vec::len), Some(1));
    weir.drained(6).await;
    assert_eq!(weir.reported_events().await, 6);
}

async fn compressed_bodies_are_accepted(weir: Weir) {
    let mut sender = Sender::new("compressed", 6);
    for encoding in ["gzip", "zstd"] {
        let body = compressed(encoding, json!(sender.events(500)).to_string().as_bytes()).await;
        let request = weir.request("/events").header("content-type", "application/json; charset=utf-8");
        weir.send(request.header("content-encoding", encoding).body(body)).await.expect_accepted(500, 0);
    }
    weir.drained(1000).await;
    assert_eq!(weir.reported_events().await, 1000);
}

async fn a_body_that_is_no_json_is_refused_whole(weir: Weir) {
    let good = json!(Sender::new("whole", 7).events(100)).to_string();
    let torn = good[..good.len() - 1].to_owned();
    for body in ["", "oops", "{", "[1,]", &torn, &format!("{good}]"), "[\"\u{0}\"]"] {
        let answer = weir.post_bytes("application/json", body.to_owned()).await;
        answer.expect_problem(StatusCode::BAD_REQUEST);
    }
    let answer = weir.post_bytes("application/json", b"[\"\xff\"]".to_vec()).await;
    answer.expect_problem(StatusCode::BAD_REQUEST);
    assert_eq!(weir.metric("events_accepted_total", &[]).await, 0.0);
    assert_eq!(weir.reported_events().await, 0);
}

async fn bodies_over_the_limit_and_unknown_media_types_are_refused(weir: Weir) {
    // An empty array with spaces: small when compressed, and one byte over the limit when decompressed.
    let spaces = BufReader::new(tokio::io::repeat(b' ').take(LIMIT - 1));
    let bomb = compressed_bytes(GzipEncoder::new(b"[".chain(spaces).chain(&b"]"[..]))).await;
    let request = weir.request("/events").header("content-type", "application/json");
    let answer = weir.send(request.header("content-encoding", "gzip").body(bomb)).await;
    answer.expect_problem(StatusCode::PAYLOAD_TOO_LARGE);
    assert!(answer.body.to_string().contains(&LIMIT.to_string()), "{answer:?}");

    let answer = weir.post_bytes("text/plain", "[]").await;
    answer.expect_problem(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert!(answer.body.to_string().contains("application/x-ndjson"), "{answer:?}");
    let request = weir.request("/events").header("content-type", "application/json");
    let answer = weir.send(request.header("content-encoding", "br").body("[]")).await;
    answer.expect_problem(StatusCode::UNSUPPORTED_MEDIA_TYPE);

    weir.post_bytes("application/vnd.sender+json", "[]").await.expect_accepted(0, 0);
    weir.send(weir.request("/events").body("[]")).await.expect_accepted(0, 0);
}

async fn the_interface_describes_itself(weir: Weir) {
    let described = weir.get("/api/openapi.json").await.body;
    for path in ["/events", "/reports/events", "/reports/revenue", "/reports/demographics"] {
        assert!(described["paths"][path].is_object(), "{path} is missing in {:?}", described["paths"]);
    }
    assert!(weir.get("/api").await.status.is_success());
    for path in ["/health/live", "/health/ready", "/metrics"] {
        assert_eq!(weir.get(path).await.status, StatusCode::OK, "{path}");
    }
    let ready: Value = weir.get("/health/ready").await.body;
    assert_eq!(ready["ready"], true, "{ready}");
}

async fn compressed(encoding: &str, bytes: &[u8]) -> Vec<u8> {
    match encoding {
        "gzip" => compressed_bytes(GzipEncoder::new(bytes)).await,
        _ => compressed_bytes(ZstdEncoder::new(bytes)).await,
    }
}

async fn compressed_bytes(mut encoder: impl AsyncRead + Unpin) -> Vec<u8> {
    let mut bytes = Vec::new();
    encoder.read_to_end(&mut bytes).await.expect("memory can be read");
    bytes
}
