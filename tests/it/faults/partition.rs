//! Network faults between the edge and the services behind it.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use reqwest::StatusCode;
use serde_json::json;
use tokio::time::Instant;
use weir_testkit::{
    Answer, Storage, Weir,
    events::Sender,
    eventually::within,
    fault_proxy::{FaultProxy, NetworkCondition},
    load::Load,
    ports, soak,
};

/// The request timeout of the edge in these stories.
const DEADLINE_MS: u64 = 3000;
/// The request timeout, with some reserve for a busy machine.
const ANSWER_DEADLINE: Duration = Duration::from_millis(DEADLINE_MS + 2000);
/// The time until the ready probe reports a partition, with some reserve for a busy machine.
const READINESS_DEADLINE: Duration = Duration::from_secs(8);
/// The time until a silent connection is given up.
const DETECTION_DEADLINE: Duration = Duration::from_secs(20);

const CONDITIONS: [NetworkCondition; 4] = [
    NetworkCondition::Refuse,
    NetworkCondition::Blackhole,
    NetworkCondition::ResetAfter(2_000),
    NetworkCondition::Latency(Duration::from_millis(50)),
];

/// A fleet whose edge reaches one service through a proxy. `listen` and `url` are the variables of that service.
async fn start_partitioned(listen: &'static str, url: &'static str) -> (Weir, FaultProxy) {
    let service = SocketAddr::from((Ipv4Addr::LOCALHOST, ports::free()));
    let proxy = FaultProxy::start(service).await;
    let settings = vec![
        (listen, service.to_string()),
        (url, format!("http://{}", proxy.address())),
        ("EDGE_REQUEST_TIMEOUT_MS", DEADLINE_MS.to_string()),
    ];
    (Weir::fleet_with(Storage::servers().await, settings).await, proxy)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_network_to_ingest_fails_in_every_manner_and_no_yes_is_false() {
    let (mut weir, proxy) = start_partitioned("INGEST_LISTEN", "INGEST_URL").await;
    let load = Load::start(&weir);
    for condition in CONDITIONS {
        load.wait_for_accepted(5).await;
        proxy.set(condition);
        match condition {
            NetworkCondition::Latency(_) => load.wait_for_accepted(if soak() { 400 } else { 20 }).await,
            _ => load.wait_for_refused(if soak() { 100 } else { 5 }).await,
        }
        if matches!(condition, NetworkCondition::Refuse | NetworkCondition::Blackhole) {
            expect_readiness(&weir, "ingest", false).await;
            let answer =
                answer_in_time(async || weir.post(&json!(Sender::new("parted", 3).events(10))).await).await;
            expect_unavailable(&answer);
        }
        proxy.set(NetworkCondition::Normal);
        weir.expect_recovery().await;
    }
    let verification = load.verify(&weir).await;
    assert_eq!(verification.parked, 0, "{verification}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_half_open_connection_to_ingest_is_detected() {
    let (mut weir, proxy) = start_partitioned("INGEST_LISTEN", "INGEST_URL").await;
    let load = Load::start(&weir);
    load.wait_for_accepted(5).await;
    proxy.set(NetworkCondition::HalfOpen);
    let since = Instant::now();
    load.wait_for_refused(1).await;
    load.wait_for_accepted(5).await;
    let noticed = since.elapsed();
    assert!(noticed < DETECTION_DEADLINE, "a dead connection was used for {noticed:?}");
    proxy.set(NetworkCondition::Normal);
    weir.expect_recovery().await;
    load.verify(&weir).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_network_to_reporting_fails_in_every_manner_and_webhooks_do_not_notice() {
    let (mut weir, proxy) = start_partitioned("REPORTING_LISTEN", "REPORTING_URL").await;
    let load = Load::start(&weir);
    for condition in CONDITIONS {
        load.wait_for_accepted(5).await;
        proxy.set(condition);
        let answer = answer_in_time(async || weir.report("events", &[]).await).await;
        match condition {
            NetworkCondition::Refuse | NetworkCondition::Blackhole => {
                expect_unavailable(&answer);
                expect_readiness(&weir, "reporting", true).await;
            }
            NetworkCondition::Latency(_) => assert_eq!(answer.status, StatusCode::OK, "{answer:?}"),
            _ if answer.status.is_success() => {}
            _ => expect_unavailable(&answer),
        }
        load.wait_for_accepted(if soak() { 400 } else { 20 }).await;
        proxy.set(NetworkCondition::Normal);
        weir.expect_recovery().await;
    }
    let verification = load.verify(&weir).await;
    assert_eq!((verification.parked, verification.unanswered_requests), (0, 0), "{verification}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_half_open_connection_to_reporting_is_detected_and_webhooks_do_not_notice() {
    let (mut weir, proxy) = start_partitioned("REPORTING_LISTEN", "REPORTING_URL").await;
    let load = Load::start(&weir);
    load.wait_for_accepted(5).await;
    assert_eq!(weir.report("events", &[]).await.status, StatusCode::OK);
    proxy.set(NetworkCondition::HalfOpen);
    let answer = answer_in_time(async || weir.report("events", &[]).await).await;
    expect_unavailable(&answer);
    within(DETECTION_DEADLINE, async || {
        let answer = answer_in_time(async || weir.report("events", &[]).await).await;
        if answer.status.is_success() { Ok(()) } else { Err(answer) }
    })
    .await;
    proxy.set(NetworkCondition::Normal);
    weir.expect_recovery().await;
    let verification = load.verify(&weir).await;
    assert_eq!((verification.parked, verification.unanswered_requests), (0, 0), "{verification}");
}

/// Fails if the answer takes longer than the request timeout.
async fn answer_in_time(ask: impl AsyncFn() -> Answer) -> Answer {
    let since = Instant::now();
    let answer = ask().await;
    let taken = since.elapsed();
    assert!(taken < ANSWER_DEADLINE, "the answer took {taken:?}: {answer:?}");
    answer
}

fn expect_unavailable(answer: &Answer) {
    answer.expect_problem(StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.header("retry-after").parse::<u64>().is_ok(), "{answer:?}");
}

/// Waits until the ready probe of the edge reports a service as missing. `ready` is whether the edge itself stays
/// ready.
async fn expect_readiness(weir: &Weir, service: &str, ready: bool) {
    within(READINESS_DEADLINE, async || {
        let (edge, dependencies) = weir.readiness("edge").await;
        let shown = dependencies[service]["ready"] == false;
        if shown && edge == ready { Ok(()) } else { Err((edge, dependencies)) }
    })
    .await;
}
