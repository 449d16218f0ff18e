//! The network between the edge and the services behind it.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use reqwest::StatusCode;
use serde_json::json;
use tokio::time::Instant;
use weir_testkit::{
    Answer, Ground, Weir,
    events::Sender,
    eventually::within,
    fault_proxy::{FaultProxy, Weather},
    load::Load,
    ports, soak,
};

/// What the edge may take for one request here.
const DEADLINE_MS: u64 = 3000;
/// Its deadline, and some for a busy machine.
const IN_TIME: Duration = Duration::from_millis(DEADLINE_MS + 2000);
/// How soon readiness tells of a partition, and some for a busy machine.
const TOLD: Duration = Duration::from_secs(8);
/// How soon a connection that died silently is given up.
const NOTICED: Duration = Duration::from_secs(20);

const BAD_WEATHER: [Weather; 4] = [
    Weather::Refuse,
    Weather::Blackhole,
    Weather::ResetAfter(2_000),
    Weather::Latency(Duration::from_millis(50)),
];

/// A fleet whose edge reaches one of its services through a proxy: `listen` and `url` are that service's variables.
async fn parted(listen: &'static str, url: &'static str) -> (Weir, FaultProxy) {
    let service = SocketAddr::from((Ipv4Addr::LOCALHOST, ports::free()));
    let way = FaultProxy::before(service).await;
    let settings = vec![
        (listen, service.to_string()),
        (url, format!("http://{}", way.address())),
        ("EDGE_REQUEST_TIMEOUT_MS", DEADLINE_MS.to_string()),
    ];
    (Weir::fleet_with(Ground::servers().await, settings).await, way)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_way_to_ingest_fails_in_every_manner_and_no_yes_is_false() {
    let (mut weir, way) = parted("INGEST_LISTEN", "INGEST_URL").await;
    let load = Load::start(&weir);
    for weather in BAD_WEATHER {
        load.answered(5).await;
        way.set(weather);
        match weather {
            Weather::Latency(_) => load.answered(if soak() { 400 } else { 20 }).await,
            _ => load.refused(if soak() { 100 } else { 5 }).await,
        }
        if matches!(weather, Weather::Refuse | Weather::Blackhole) {
            told(&weir, "ingest", false).await;
            let answer = in_time(async || weir.post(&json!(Sender::new("parted", 3).events(10))).await).await;
            expect_unavailable(&answer);
        }
        way.set(Weather::Fair);
        weir.recovers().await;
    }
    let proof = load.prove(&weir).await;
    assert_eq!(proof.parked, 0, "{proof}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_half_open_way_to_ingest_is_noticed() {
    let (mut weir, way) = parted("INGEST_LISTEN", "INGEST_URL").await;
    let load = Load::start(&weir);
    load.answered(5).await;
    way.set(Weather::HalfOpen);
    let since = Instant::now();
    load.refused(1).await;
    load.answered(5).await;
    let noticed = since.elapsed();
    assert!(noticed < NOTICED, "a dead connection was used for {noticed:?}");
    way.set(Weather::Fair);
    weir.recovers().await;
    load.prove(&weir).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_way_to_reporting_fails_in_every_manner_and_webhooks_do_not_notice() {
    let (mut weir, way) = parted("REPORTING_LISTEN", "REPORTING_URL").await;
    let load = Load::start(&weir);
    for weather in BAD_WEATHER {
        load.answered(5).await;
        way.set(weather);
        let answer = in_time(async || weir.report("events", &[]).await).await;
        match weather {
            Weather::Refuse | Weather::Blackhole => {
                expect_unavailable(&answer);
                told(&weir, "reporting", true).await;
            }
            Weather::Latency(_) => assert_eq!(answer.status, StatusCode::OK, "{answer:?}"),
            _ if answer.status.is_success() => {}
            _ => expect_unavailable(&answer),
        }
        load.answered(if soak() { 400 } else { 20 }).await;
        way.set(Weather::Fair);
        weir.recovers().await;
    }
    let proof = load.prove(&weir).await;
    assert_eq!((proof.parked, proof.unanswered_requests), (0, 0), "{proof}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_half_open_way_to_reporting_is_noticed_and_webhooks_do_not_notice() {
    let (mut weir, way) = parted("REPORTING_LISTEN", "REPORTING_URL").await;
    let load = Load::start(&weir);
    load.answered(5).await;
    assert_eq!(weir.report("events", &[]).await.status, StatusCode::OK);
    way.set(Weather::HalfOpen);
    let answer = in_time(async || weir.report("events", &[]).await).await;
    expect_unavailable(&answer);
    within(NOTICED, async || {
        let answer = in_time(async || weir.report("events", &[]).await).await;
        if answer.status.is_success() { Ok(()) } else { Err(answer) }
    })
    .await;
    way.set(Weather::Fair);
    weir.recovers().await;
    let proof = load.prove(&weir).await;
    assert_eq!((proof.parked, proof.unanswered_requests), (0, 0), "{proof}");
}

/// No call hangs past its deadline.
async fn in_time(ask: impl AsyncFn() -> Answer) -> Answer {
    let since = Instant::now();
    let answer = ask().await;
    let taken = since.elapsed();
    assert!(taken < IN_TIME, "the answer took {taken:?}: {answer:?}");
    answer
}

fn expect_unavailable(answer: &Answer) {
    answer.expect_problem(StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.header("retry-after").parse::<u64>().is_ok(), "{answer:?}");
}

/// Waits until the edge's readiness shows that a service is away; `ready` is whether the edge is ready all the same.
async fn told(weir: &Weir, service: &str, ready: bool) {
    within(TOLD, async || {
        let (edge, dependencies) = weir.readiness("edge").await;
        let shown = dependencies[service]["ready"] == false;
        if shown && edge == ready { Ok(()) } else { Err((edge, dependencies)) }
    })
    .await;
}
