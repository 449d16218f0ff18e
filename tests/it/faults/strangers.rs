//! Strangers who take room and connections: a legitimate sender goes on meanwhile.

use std::{
    convert::Infallible,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http::{Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody, combinators::BoxBody};
use hyper::{body::Incoming, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpSocket, TcpStream},
    process::Command,
    task::JoinHandle,
};
use weir_testkit::{Storage, Weir, eventually};

use super::good_client::GoodClient;

/// The legitimate sender has the address 127.0.0.1, and so have some of the strangers.
const STRANGERS: [Ipv4Addr; 2] = [Ipv4Addr::new(127, 0, 0, 1), Ipv4Addr::new(127, 0, 0, 66)];
const POSTS: usize = 20;
/// A post of which a part comes.
const HALF_SENT: &[u8] = b"POST /events HTTP/1.1\r\nhost: localhost\r\ncontent-length: 60000000\r\n\r\n[";

/// A body that begins and never ends.
fn endless(beginning: Vec<u8>) -> BoxBody<Bytes, Infallible> {
    let beginning = stream::iter([Ok(Frame::data(Bytes::from(beginning)))]);
    BodyExt::boxed(StreamBody::new(beginning.chain(stream::pending())))
}

async fn connect(from: Ipv4Addr, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((from, 0).into()).unwrap();
    socket.connect(to).await.unwrap()
}

/// Sends so many posts over one connection of HTTP/2, each with a body that never ends.
async fn send_endless(
    from: Ipv4Addr,
    to: SocketAddr,
    posts: usize,
    request: impl Fn() -> Request<BoxBody<Bytes, Infallible>>,
) -> Vec<JoinHandle<hyper::Result<Response<Incoming>>>> {
    let socket = TokioIo::new(connect(from, to).await);
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), socket).await.unwrap();
    tokio::spawn(connection);
    let mut answers = Vec::new();
    for _ in 0..posts {
        sender.ready().await.unwrap();
        answers.push(tokio::spawn(sender.send_request(request())));
    }
    answers
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_announce_much_and_send_little_take_no_room_and_are_cut_off() {
    let weir = Weir::up_with(Storage::Files, Vec::new()).await;
    let ingest = weir.addresses.ingest;
    let call = || {
        // A message of 32 MiB, of which one byte comes.
        let beginning = [&[0][..], &(32_u32 << 20).to_be_bytes(), b"x"].concat();
        Request::post(format!("http://{ingest}/weir.ingest.v1.IngestService/PublishEvents"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(endless(beginning))
            .unwrap()
    };
    let mut calls = Vec::new();
    for from in STRANGERS {
        calls.extend(send_endless(from, ingest, 8, call).await);
    }
    GoodClient::of(&weir).posts(POSTS).await;
    for answer in calls {
        let answer = answer.await.unwrap().unwrap();
        // DEADLINE_EXCEEDED.
        assert_eq!(answer.headers()["grpc-status"], "4", "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn posts_that_send_a_byte_and_no_more_take_no_room_of_others() {
    // What ends them is their rate.
    let settings = vec![("EDGE_BODY_STALL_TIMEOUT_MS", "60000".to_owned())];
    let weir = Weir::up_with(Storage::Files, settings).await;
    let edge = weir.addresses.edge;
    let post = || {
        Request::post(format!("http://{edge}/events"))
            .header("content-type", "application/json")
            .body(endless(b"[".to_vec()))
            .unwrap()
    };
    let mut posts = Vec::new();
    for number in 0..6 {
        posts.extend(send_endless(STRANGERS[number % STRANGERS.len()], edge, 128, post).await);
    }
    GoodClient::of(&weir).posts(POSTS).await;
    for answer in posts {
        assert_eq!(answer.await.unwrap().unwrap().status(), StatusCode::REQUEST_TIMEOUT);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn half_sent_bodies_that_fill_the_room_are_dropped_for_whole_ones() {
    let settings = vec![
        ("EDGE_MAX_BODY_BYTES", (512 << 10).to_string()),
        ("EDGE_MAX_IN_FLIGHT_BYTES", (2 << 20).to_string()),
        ("EDGE_BODY_STALL_TIMEOUT_MS", "60000".to_owned()),
    ];
    let weir = Weir::up_with(Storage::Files, settings).await;
    let mut strangers = Vec::new();
    for number in 0..40 {
        let mut stranger = connect(STRANGERS[number % STRANGERS.len()], weir.addresses.edge).await;
        let head =
            format!("POST /events HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n[", 400 << 10);
        // Once the room is full, the edge reads no more of it.
        let body = [head.into_bytes(), vec![b' '; 200 << 10]].concat();
        tokio::time::timeout(Duration::from_millis(200), stranger.write_all(&body)).await.ok();
        strangers.push(stranger);
    }
    GoodClient::of(&weir).posts(POSTS).await;
    assert!(weir.metric("weir_edge_bodies_dropped_total", &[]).await >= 1.0);
    drop(strangers);
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_and_half_sent_connections_to_every_listener_leave_descriptors_for_those_who_are_served() {
    let mut weir = Weir::up_with(Storage::Files, Vec::new()).await;
    let process = format!("--pid={}", weir.id_of("up"));
    assert!(Command::new("prlimit").args([&process, "--nofile=256:256"]).status().await.unwrap().success());
    let mut silent = Vec::new();
    let addresses = &weir.addresses;
    for listener in [addresses.admin_of("up"), addresses.ingest, addresses.reporting, addresses.edge] {
        for number in 0..240 {
            let mut stranger = connect(STRANGERS[number % STRANGERS.len()], listener).await;
            if number % 2 == 0 {
                // Another protocol where the listener speaks gRPC alone.
                stranger.write_all(HALF_SENT).await.unwrap();
            }
            silent.push(stranger);
        }
    }
    let mut client = GoodClient::of(&weir);
    client.posts(POSTS).await;
    eventually(async || match weir.metric("weir_connections_closed_total", &[("reason", "evicted")]).await {
        0.0 => Err("no connection was closed for others"),
        _ => Ok(()),
    })
    .await;
    eventually(async || match weir.reported_events().await as usize {
        reported if reported == client.accepted => Ok(()),
        reported => Err(format!("{reported} of {}", client.accepted)),
    })
    .await;
    drop(silent);
}
