//! Signals: the first one drains every role, and a second one ends the process at once.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::Instant,
};
use weir_testkit::{Storage, Weir, eventually};

/// The exit code after a second signal: 128 + SIGINT.
const INTERRUPTED: Option<i32> = Some(130);
/// Far less than the 15 s that a request in flight has to end.
const AT_ONCE: Duration = Duration::from_secs(5);
const BODY: &str = "[17]";

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_every_role_at_once() {
    for [first, second] in [["TERM", "TERM"], ["INT", "TERM"]] {
        let mut weir = Weir::on_files().await;
        expect_exit_at_once(&mut weir, "up", first, second).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_a_role_that_still_drains_at_once() {
    let nowhere = ["INGEST_URL", "REPORTING_URL"].map(|variable| (variable, "http://127.0.0.1:1".to_owned()));
    let mut weir = Weir::launch(Storage::Files, nowhere.into(), &[("edge", &["edge"])]);
    expect_exit_at_once(&mut weir, "edge", "TERM", "INT").await;
}

/// Sends the second signal while a request is in flight; expects the process to end at once.
async fn expect_exit_at_once(weir: &mut Weir, process: &str, first: &str, second: &str) {
    let _slow = slow_body(weir).await;
    weir.signal_to(process, first).await;
    wait_for_stopping(weir).await;
    let signalled = Instant::now();
    weir.signal_to(process, second).await;
    let status = weir.exit_of(process).await;
    let took = signalled.elapsed();
    assert_eq!(status.code(), INTERRUPTED, "after {took:?}");
    assert!(took < AT_ONCE, "{took:?}");
    eprintln!("{process} ended {took:.1?} after {second}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_signal_alone_drains_front_to_back() {
    let mut weir = Weir::on_files().await;
    let mut slow = slow_body(&weir).await;
    weir.signal("TERM").await;
    wait_for_stopping(&weir).await;
    // No role has ended, because the edge ends first and still serves a request.
    assert!(!weir.log().contains(r#""message":"role ended""#), "{}", weir.log());
    slow.write_all(&BODY.as_bytes()[1..]).await.unwrap();
    let mut answer = String::new();
    slow.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains(r#""rejected":1"#), "{answer}");
    weir.stopped().await;
    let log = weir.log();
    let ended = log.lines().filter(|line| line.contains(r#""message":"role ended""#));
    let ended: Vec<serde_json::Value> = ended.map(|line| serde_json::from_str(line).unwrap()).collect();
    let ended: Vec<&str> = ended.iter().filter_map(|line| line["role"].as_str()).collect();
    assert_eq!(ended, ["edge", "ingest", "collectors", "reporting", "journal"]);
}

/// A request that has sent the first byte of its body and then stalls.
async fn slow_body(weir: &Weir) -> TcpStream {
    let mut stream = eventually(async || TcpStream::connect(weir.addresses.edge).await).await;
    let head = format!(
        "POST /events HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{}",
        BODY.len(),
        &BODY[..1]
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    eventually(async || match weir.metric("weir_edge_body_bytes_in_flight", &[]).await {
        0.0 => Err("no body has begun"),
        _ => Ok(()),
    })
    .await;
    stream
}

/// Waits until the process has logged that it stops.
async fn wait_for_stopping(weir: &Weir) {
    eventually(
        async || if weir.log().contains(r#""message":"stopping""#) { Ok(()) } else { Err(weir.log()) },
    )
    .await;
}
