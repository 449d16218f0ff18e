//! Thousands of connections that send nothing, half a head or half a body, beside a well-behaved client.

use std::{fs, time::Duration};

use futures::future::join_all;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    process::Command,
    time::Instant,
};
use weir_testkit::{Storage, Weir, eventually, eventually::within, soak};

use super::good_client::GoodClient;

const EDGE: &[(&str, &str)] = &[("listener", "edge")];

/// The number of connections, and the value of both timeouts of the edge. All connections are open before the first
/// times out.
fn scale() -> (usize, Duration) {
    if soak() { (10_000, Duration::from_secs(60)) } else { (2_000, Duration::from_secs(10)) }
}
/// The files that the edge itself and the other stories of this process have open.
const OTHER_FILES: usize = 2_000;
/// The number of connections that are opened at once. The next ones follow when the edge has accepted these, because a
/// full backlog would lose silent connections.
const AT_ONCE: usize = 50;
/// The delay that the last close may have on a busy machine.
const CLOSE_SLACK: Duration = Duration::from_secs(15);
/// The memory of 10,000 connections and of the process without them.
const MOST_MEMORY: u64 = 384 << 20;
const POSTS: usize = 100;

const BEGINNINGS: [&str; 4] = [
    "",
    "POST /events HTTP/1.1\r\nhost: localhost\r\nx-slow: ",
    "PRI * HTTP/2.0\r\n",
    "POST /events HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\n[1,",
];

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_idle_connections_are_closed_in_time_and_good_clients_do_not_notice() {
    let (connections, timeout) = scale();
    let milliseconds = timeout.as_millis().to_string();
    let settings =
        vec![("EDGE_HEADER_TIMEOUT_MS", milliseconds.clone()), ("EDGE_BODY_STALL_TIMEOUT_MS", milliseconds)];
    let mut weir = Weir::up_with(Storage::Files, settings).await;
    allow_open_files(std::process::id(), connections).await;
    allow_open_files(weir.id_of("up"), connections).await;
    let mut client = GoodClient::of(&weir);
    let before = client.posts(POSTS).await;
    let idle = connect(&weir, connections).await;
    let last_opened = Instant::now();
    assert!(
        open(&weir).await >= connections,
        "the first connections were closed before the last one was opened"
    );

    let closed = tokio::time::timeout(timeout + CLOSE_SLACK, join_all(idle.into_iter().map(until_closed)));
    let (closed, during) = client.posts_during(closed).await;
    let (took, memory) = (last_opened.elapsed(), weir.peak_memory());
    let closed = closed.unwrap_or_else(|_| panic!("connections are still open after {took:?}"));
    let answered = closed.iter().filter(|bytes| bytes.starts_with(b"HTTP/1.1 408")).count();
    eprintln!(
        "{connections} idle connections, the last closed {took:.1?} after its start, {answered} slow bodies answered 408; \
         before: {before}; during: {during}; peak memory {} MiB",
        memory >> 20
    );
    assert_eq!(answered, connections / BEGINNINGS.len());
    assert!(during.count() >= 10, "{during}");
    assert!(memory < MOST_MEMORY, "{memory} bytes");
    weir.expect_recovery().await;
    eventually(async || match weir.reported_events().await as usize {
        reported if reported == client.accepted + 1 => Ok(()),
        reported => Err(format!("{reported} of {}", client.accepted + 1)),
    })
    .await;
    weir.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_whose_heads_come_a_byte_at_a_time_are_closed() {
    let settings = vec![("EDGE_HEADER_TIMEOUT_MS", "2000".to_owned())];
    let weir = Weir::up_with(Storage::Files, settings).await;
    let trickles = (0..if soak() { 1000 } else { 50 }).map(|_| trickle(&weir));
    let closed = tokio::time::timeout(Duration::from_secs(2) + CLOSE_SLACK, join_all(trickles));
    let (closed, during) = GoodClient::of(&weir).posts_during(closed).await;
    eprintln!("during: {during}");
    assert!(closed.is_ok(), "heads are still read");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_beyond_the_bound_make_room_and_are_logged() {
    const MOST: usize = 50;
    let settings =
        vec![("EDGE_MAX_CONNECTIONS", MOST.to_string()), ("EDGE_HEADER_TIMEOUT_MS", "3000".to_owned())];
    let weir = Weir::up_with(Storage::Files, settings).await;
    let idle = connect(&weir, 2 * MOST).await;
    let logged = "the limit of connections is reached";
    within(
        Duration::from_secs(5),
        async || if weir.log().contains(logged) { Ok(()) } else { Err(weir.log()) },
    )
    .await;
    let mut most = 0;
    let mut client = GoodClient::of(&weir);
    // A connection that sends no request is closed for the client.
    let mut post = Box::pin(client.post());
    let waited = loop {
        tokio::select! {
            waited = &mut post => break waited,
            open = open(&weir) => most = most.max(open),
        }
    };
    assert_eq!(most, MOST, "connections were open at once, and a good client waited {waited:?}");
    assert_eq!(weir.metric("weir_connections_limit", EDGE).await as usize, MOST);
    drop(idle);
}

/// The number of open connections.
async fn open(weir: &Weir) -> usize {
    weir.metric("weir_connections", EDGE).await as usize
}

/// Raises a process's soft limit of open files to the hard limit; fails if that is too low.
async fn allow_open_files(process: u32, connections: usize) {
    let limits = fs::read_to_string(format!("/proc/{process}/limits")).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let hard = line.split_whitespace().nth(4).unwrap();
    let needed = connections + OTHER_FILES;
    assert!(
        hard == "unlimited" || hard.parse::<usize>().unwrap() >= needed,
        "this machine lets a process have {hard} files open and this story needs {needed}: raise the hard limit \
         (ulimit -Hn)"
    );
    let raise = [format!("--pid={process}"), format!("--nofile={needed}:{hard}")];
    assert!(Command::new("prlimit").args(raise).status().await.unwrap().success());
}

/// Opens so many connections, each with one of [`BEGINNINGS`].
async fn connect(weir: &Weir, connections: usize) -> Vec<TcpStream> {
    let address = weir.addresses.edge;
    let begin = async |number: usize| {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(BEGINNINGS[number % BEGINNINGS.len()].as_bytes()).await.unwrap();
        stream
    };
    let mut all = Vec::with_capacity(connections);
    for first in (0..connections).step_by(AT_ONCE) {
        let next = first..connections.min(first + AT_ONCE);
        all.extend(join_all(next.map(begin)).await);
        // Connections beyond the bound take the place of others.
        let most = weir.metric("weir_connections_limit", EDGE).await as usize;
        eventually(async || match open(weir).await {
            open if open >= all.len().min(most) => Ok(()),
            open => Err(format!("{open} of {} connections", all.len())),
        })
        .await;
    }
    all
}

/// All bytes that the edge sends until it closes the connection.
async fn until_closed(mut stream: TcpStream) -> Vec<u8> {
    let mut received = Vec::new();
    // A reset ends the connection too.
    stream.read_to_end(&mut received).await.ok();
    received
}

/// Sends a header a byte at a time until the edge closes the connection.
async fn trickle(weir: &Weir) {
    let (mut read, mut write) = TcpStream::connect(weir.addresses.edge).await.unwrap().into_split();
    let slowly = async {
        write.write_all(b"POST /events HTTP/1.1\r\nx-slow: ").await.ok();
        let mut pace = tokio::time::interval(Duration::from_millis(100));
        while write.write_all(b"x").await.is_ok() {
            pace.tick().await;
        }
    };
    let mut received = Vec::new();
    tokio::select! {
        () = slowly => {}
        _ = read.read_to_end(&mut received) => {}
    }
}
