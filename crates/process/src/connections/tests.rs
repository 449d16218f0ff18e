//! Peers that are silent, slow, or take nothing, against a listener with short timeouts.

use axum::{
    Router,
    body::{Bytes, to_bytes},
    extract::Request,
    routing::{get, post},
};
use http::StatusCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

const SOON: Duration = Duration::from_millis(100);
const LONG: Duration = Duration::from_secs(60);
/// More than the buffers of both sockets take.
const LARGE: usize = 64 << 20;
const PIECE: usize = 16 << 10;
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

fn settings() -> ListenerSettings {
    ListenerSettings {
        name: "test",
        max_connections: 100,
        head_timeout: LONG,
        idle_timeout: LONG,
        unread_timeout: LONG,
        drain_timeout: SOON,
        body: BodyPace { stall: LONG, whole: LONG },
        only_http2: false,
        allowed_hosts: None,
        http2: Http2Bounds {
            stream_window: 1 << 16,
            connection_window: 1 << 16,
            max_streams: 8,
            max_head_bytes: 1 << 14,
        },
    }
}

async fn read_body(request: Request) -> StatusCode {
    let Err(error) = to_bytes(request.into_body(), LARGE).await else { return StatusCode::OK };
    let error = anyhow::Error::new(error);
    match error.root_cause().downcast_ref() {
        Some(BodyReadError::Slow(_)) => StatusCode::REQUEST_TIMEOUT,
        Some(BodyReadError::Broken(_)) | None => StatusCode::BAD_REQUEST,
    }
}

/// Serves until the test ends.
async fn connect(settings: ListenerSettings) -> (TcpStream, Connections) {
    let router = Router::new()
        .route("/large", get(async || Bytes::from(vec![b'x'; LARGE])))
        .route("/small", get(async || Bytes::from_static(&[b'x'; PIECE])))
        .route("/body", post(read_body));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Connections::default();
    let serving = connections.clone();
    tokio::spawn(async move { serving.serve(listener, router, settings, Stop::new()).await });
    (TcpStream::connect(address).await.unwrap(), connections)
}

/// Waits until a connection was closed for this reason alone.
async fn closed_for(connections: &Connections, reason: CloseReason) {
    let mut registry = Registry::default();
    connections.register(&mut registry);
    loop {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        let closed: Vec<&str> = text
            .lines()
            .filter(|line| line.starts_with("weir_connections_closed_total") && !line.ends_with(" 0"))
            .collect();
        if !closed.is_empty() {
            let expected =
                format!("weir_connections_closed_total{{listener=\"test\",reason=\"{}\"}} 1", reason.name());
            assert_eq!(closed, [expected]);
            return;
        }
        time::sleep(Duration::from_millis(5)).await;
    }
}

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap();
    [&[0, 0, length, kind, flags, 0, 0, 0, stream], payload].concat()
}

/// The head of `GET /large` on stream 1.
fn get_large() -> Vec<u8> {
    frame(1, 5, 1, b"\x82\x86\x44\x06/large\x41\x01x")
}

#[tokio::test]
async fn an_idle_http_2_connection_is_closed_although_its_peer_does_not_close_it() {
    let (mut stream, connections) =
        connect(ListenerSettings { idle_timeout: SOON, only_http2: true, ..settings() }).await;
    stream.write_all(&[PREFACE, &frame(4, 0, 0, &[])].concat()).await.unwrap();
    closed_for(&connections, CloseReason::Idle).await;
}

#[tokio::test]
async fn a_silent_connection_is_closed() {
    let (_stream, connections) = connect(ListenerSettings { head_timeout: SOON, ..settings() }).await;
    closed_for(&connections, CloseReason::SlowHead).await;
}

#[tokio::test]
async fn a_peer_that_takes_nothing_of_its_response_is_closed() {
    let (mut stream, connections) = connect(ListenerSettings { unread_timeout: SOON, ..settings() }).await;
    stream.write_all(b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    closed_for(&connections, CloseReason::Unread).await;
}

#[tokio::test]
async fn a_peer_that_takes_nothing_of_many_small_responses_is_closed() {
    let (mut stream, connections) = connect(ListenerSettings { unread_timeout: SOON, ..settings() }).await;
    // Each is taken by hyper as a whole; the socket is full at last.
    let requests = b"GET /small HTTP/1.1\r\nhost: x\r\n\r\n".repeat(2_000);
    stream.write_all(&requests).await.unwrap();
    closed_for(&connections, CloseReason::Unread).await;
}

#[tokio::test]
async fn a_peer_without_a_window_for_its_response_is_closed() {
    let (mut stream, connections) = connect(ListenerSettings { unread_timeout: SOON, ..settings() }).await;
    // SETTINGS_INITIAL_WINDOW_SIZE is 0.
    let opening = [PREFACE, &frame(4, 0, 0, &[0, 4, 0, 0, 0, 0]), &get_large()].concat();
    stream.write_all(&opening).await.unwrap();
    closed_for(&connections, CloseReason::Unread).await;
}

#[tokio::test]
async fn a_peer_that_takes_its_response_slowly_is_served_whole() {
    let (mut stream, _) =
        connect(ListenerSettings { unread_timeout: Duration::from_secs(2), ..settings() }).await;
    stream.write_all(b"GET /large HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let (mut taken, mut buffer) = (0, vec![0; 4 << 20]);
    loop {
        match stream.read(&mut buffer).await.unwrap() {
            0 => break,
            bytes => taken += bytes,
        }
        time::sleep(Duration::from_millis(10)).await;
    }
    assert!(taken > LARGE, "{taken}");
}

#[tokio::test]
async fn a_body_that_pauses_is_given_up() {
    let body = BodyPace { stall: SOON, whole: LONG };
    let (mut stream, _) = connect(ListenerSettings { body, ..settings() }).await;
    let request = b"POST /body HTTP/1.1\r\nhost: x\r\ncontent-length: 33554432\r\n\r\n[";
    stream.write_all(request).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 408");
}
