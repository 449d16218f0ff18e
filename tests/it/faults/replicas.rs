//! Two ingests behind one edge, one of which dies or falls silent.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use futures::future::join_all;
use serde_json::json;
use tokio::time::Instant;
use weir_testkit::{
    Storage, Weir,
    events::Sender,
    eventually,
    fault_proxy::{FaultProxy, NetworkCondition},
    load::Load,
    ports, soak,
};

/// The time until a call succeeds on the other ingest. Keepalive gives a silent peer up after 15 s.
const FAILOVER_DEADLINE: Duration = Duration::from_secs(20);
/// The events of a post that gets a call of its own. Smaller posts that arrive together share a call, to one of the
/// two.
const EVENTS: usize = 200;

/// A fleet with a second ingest, which the edge reaches through a proxy.
async fn pair() -> (Weir, FaultProxy) {
    let [one, other] =
        [ports::free(), ports::free()].map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    let proxy = FaultProxy::start(other).await;
    let settings = vec![
        ("INGEST_LISTEN", one.to_string()),
        ("INGEST_URL", format!("http://{one},http://{}", proxy.address())),
    ];
    let mut weir = Weir::fleet_with(Storage::servers().await, settings).await;
    weir.join("ingest-too", &["ingest"], &[("INGEST_LISTEN", &other.to_string())]).await;
    (weir, proxy)
}

/// Waits until both ingests accept events from now on, first the direct one, then the one behind the proxy. The edge
/// skips an ingest that has just failed a probe; then the silent network would have no effect.
async fn expect_both_accept(weir: &Weir) {
    for name in ["ingest", "ingest-too"] {
        let before = weir.metric_of(name, "events_accepted_total", &[]).await;
        eventually(async || {
            let accepted = weir.metric_of(name, "events_accepted_total", &[]).await;
            if accepted > before { Ok(()) } else { Err(format!("{name} receives no call")) }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_ingests_is_killed_and_the_other_one_takes_over() {
    let (mut weir, _way) = pair().await;
    let load = Load::start(&weir);
    expect_both_accept(&weir).await;
    for _ in 0..if soak() { 10 } else { 3 } {
        load.wait_for_accepted(10).await;
        weir.kill("ingest").await;
        load.wait_for_accepted(20).await;
        weir.start_process("ingest");
        weir.expect_recovery().await;
    }
    let verification = load.verify(&weir).await;
    assert_eq!((verification.parked, verification.unanswered_requests), (0, 0), "{verification}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_network_to_one_of_two_ingests_falls_silent_and_the_other_one_takes_over() {
    let (mut weir, proxy) = pair().await;
    let load = Load::start(&weir);
    expect_both_accept(&weir).await;
    proxy.set(NetworkCondition::Blackhole);
    let mut sender = Sender::new("switched", 21);
    let longest = join_all((0..20).map(|_| post_in_time(&weir, &mut sender)).collect::<Vec<_>>()).await;
    let longest = longest.into_iter().max().unwrap();
    eprintln!("the longest of twenty answers took {longest:.1?}");
    load.wait_for_accepted(if soak() { 600 } else { 20 }).await;
    let made = weir.metric_of("edge", "weir_edge_retries_total", &[("outcome", "made")]).await;
    assert!(made > 0.0, "no call was retried");
    proxy.set(NetworkCondition::Normal);
    weir.expect_recovery().await;
    let verification = load.verify(&weir).await;
    assert_eq!((verification.parked, verification.unanswered_requests), (0, 0), "{verification}");
}

/// Posts events and expects them to be accepted; returns the latency.
fn post_in_time<'a>(weir: &'a Weir, sender: &mut Sender) -> impl Future<Output = Duration> + use<'a> {
    let events = sender.events(EVENTS);
    async move {
        let since = Instant::now();
        weir.post(&json!(events)).await.expect_accepted(EVENTS, 0);
        let taken = since.elapsed();
        assert!(taken < FAILOVER_DEADLINE, "the answer took {taken:?}");
        taken
    }
}
