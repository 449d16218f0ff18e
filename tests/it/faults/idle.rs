//! Thousands of connections that send nothing, half a head or half a body, beside a client that means it.

use std::{fs, time::Duration};

use futures::future::join_all;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    process::Command,
    time::Instant,
};
use weir_testkit::{Ground, Weir, eventually, eventually::within, soak};

use super::good_client::GoodClient;

/// How many, and both of the edge's timeouts: long enough for all of them to be there at the same time.
fn scale() -> (usize, Duration) {
    if soak() { (10_000, Duration::from_secs(60)) } else { (2_000, Duration::from_secs(10)) }
}
/// What the edge itself and the other stories of this process have open besides.
const OTHER_FILES: usize = 2_000;
/// As many are opened at once, and more when the edge has them: a full backlog would lose connections that say nothing.
const AT_ONCE: usize = 50;
/// How much later the last one may be closed, on a machine that is busy.
const LATER: Duration = Duration::from_secs(15);
/// 10,000 connections, and what the process takes without them.
const MOST_MEMORY: u64 = 384 << 20;
const POSTS: usize = 100;

const BEGINNINGS: [&str; 4] = [
    "",
    "POST /events HTTP/1.1\r\nhost: edge\r\nx-slow: ",
    "PRI * HTTP/2.0\r\n",
    "POST /events HTTP/1.1\r\nhost: edge\r\ncontent-length: 1000\r\n\r\n[1,",
];

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_idle_connections_are_closed_in_time_and_good_clients_do_not_notice() {
    let (connections, timeout) = scale();
    let milliseconds = timeout.as_millis().to_string();
    let settings =
        vec![("EDGE_HEADER_TIMEOUT_MS", milliseconds.clone()), ("EDGE_BODY_STALL_TIMEOUT_MS", milliseconds)];
    let mut weir = Weir::up_with(Ground::Files, settings).await;
    allow_open_files(std::process::id(), connections).await;
    allow_open_files(weir.id_of("up"), connections).await;
    let mut client = GoodClient::of(&weir);
    let before = client.posts(POSTS).await;
    let idle = connect(&weir, connections).await;
    let last_came = Instant::now();
    assert!(open(&weir).await >= connections, "the first ones were closed before the last one came");

    let closed = tokio::time::timeout(timeout + LATER, join_all(idle.into_iter().map(until_closed)));
    let (closed, during) = client.posts_during(closed).await;
    let (took, memory) = (last_came.elapsed(), weir.peak_memory());
    let closed = closed.unwrap_or_else(|_| panic!("connections are still open after {took:?}"));
    let told = closed.iter().filter(|said| said.starts_with(b"HTTP/1.1 408")).count();
    eprintln!(
        "{connections} idle connections, the last closed {took:.1?} after it came, {told} slow bodies told so; \
         before: {before}; during: {during}; peak memory {} MiB",
        memory >> 20
    );
    assert_eq!(told, connections / BEGINNINGS.len());
    assert!(during.count() >= 10, "{during}");
    assert!(memory < MOST_MEMORY, "{memory} bytes");
    weir.recovers().await;
    eventually(async || match weir.reported_events().await as usize {
        reported if reported == client.accepted + 1 => Ok(()),
        reported => Err(format!("{reported} of {}", client.accepted + 1)),
    })
    .await;
    weir.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_that_come_a_byte_at_a_time_are_given_up() {
    let settings = vec![("EDGE_HEADER_TIMEOUT_MS", "2000".to_owned())];
    let weir = Weir::up_with(Ground::Files, settings).await;
    let trickles = (0..if soak() { 1000 } else { 50 }).map(|_| trickle(&weir));
    let given_up = tokio::time::timeout(Duration::from_secs(2) + LATER, join_all(trickles));
    let (given_up, during) = GoodClient::of(&weir).posts_during(given_up).await;
    eprintln!("during: {during}");
    assert!(given_up.is_ok(), "heads are still read");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_beyond_the_bound_wait_and_the_log_says_so() {
    const MOST: usize = 50;
    let settings =
        vec![("EDGE_MAX_CONNECTIONS", MOST.to_string()), ("EDGE_HEADER_TIMEOUT_MS", "3000".to_owned())];
    let weir = Weir::up_with(Ground::Files, settings).await;
    let idle = connect(&weir, 2 * MOST).await;
    let taken = "every place for a connection is taken";
    within(
        Duration::from_secs(5),
        async || if weir.log().contains(taken) { Ok(()) } else { Err(weir.log()) },
    )
    .await;
    let mut most = 0;
    let mut client = GoodClient::of(&weir);
    // It waits until those before it have lost their places.
    let mut post = Box::pin(client.post());
    let waited = loop {
        tokio::select! {
            waited = &mut post => break waited,
            open = open(&weir) => most = most.max(open),
        }
    };
    assert_eq!(most, MOST, "connections were open at once, and a good client waited {waited:?}");
    assert_eq!(weir.metric("weir_edge_connections_limit", &[]).await as usize, MOST);
    drop(idle);
}

async fn open(weir: &Weir) -> usize {
    weir.metric("weir_edge_connections", &[]).await as usize
}

/// Lets a process have as many files open as it may; fails where that is too few.
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

/// As many connections, each begun in one of the ways.
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
        // Beyond its bound the edge lets them wait in the backlog.
        let most = weir.metric("weir_edge_connections_limit", &[]).await as usize;
        eventually(async || match open(weir).await {
            open if open >= all.len().min(most) => Ok(()),
            open => Err(format!("{open} of {} connections", all.len())),
        })
        .await;
    }
    all
}

/// What the edge said before it closed the connection.
async fn until_closed(mut stream: TcpStream) -> Vec<u8> {
    let mut said = Vec::new();
    // A reset closes as well as an end does.
    stream.read_to_end(&mut said).await.ok();
    said
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
    let mut said = Vec::new();
    tokio::select! {
        () = slowly => {}
        _ = read.read_to_end(&mut said) => {}
    }
}
