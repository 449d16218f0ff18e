//! Two ingests behind one edge, and one of them goes.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use futures::future::join_all;
use serde_json::json;
use tokio::time::Instant;
use weir_testkit::{
    Ground, Weir,
    events::Sender,
    eventually,
    fault_proxy::{FaultProxy, Weather},
    load::Load,
    ports, soak,
};

/// A silent peer is given up by keepalive after 15 s; then the call is made again elsewhere.
const SWITCHED: Duration = Duration::from_secs(20);
/// Of a post that has a call for itself: smaller ones that come together share one, to one of the two.
const EVENTS: usize = 200;

/// A fleet with a second ingest, which the edge reaches through a proxy.
async fn pair() -> (Weir, FaultProxy) {
    let [one, other] =
        [ports::free(), ports::free()].map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    let way = FaultProxy::before(other).await;
    let settings = vec![
        ("INGEST_LISTEN", one.to_string()),
        ("INGEST_URL", format!("http://{one},http://{}", way.address())),
    ];
    let mut weir = Weir::fleet_with(Ground::servers().await, settings).await;
    weir.join("ingest-too", &["ingest"], &[("INGEST_LISTEN", &other.to_string())]).await;
    (weir, way)
}

/// Waits until both ingests take events from now on, the one behind the proxy last: who has just missed a sample is left
/// out by the edge, and then nobody notices that the way to it falls silent.
async fn both_take(weir: &Weir) {
    for name in ["ingest", "ingest-too"] {
        let before = weir.metric_of(name, "events_accepted_total", &[]).await;
        eventually(async || {
            let accepted = weir.metric_of(name, "events_accepted_total", &[]).await;
            if accepted > before { Ok(()) } else { Err(format!("{name} is not asked")) }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_ingests_is_killed_and_the_other_one_takes_over() {
    let (mut weir, _way) = pair().await;
    let load = Load::start(&weir);
    both_take(&weir).await;
    for _ in 0..if soak() { 10 } else { 3 } {
        load.answered(10).await;
        weir.kill("ingest").await;
        load.answered(20).await;
        weir.revive("ingest");
        weir.recovers().await;
    }
    let proof = load.prove(&weir).await;
    assert_eq!((proof.parked, proof.unanswered_requests), (0, 0), "{proof}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_way_to_one_of_two_ingests_falls_silent_and_the_other_one_takes_over() {
    let (mut weir, way) = pair().await;
    let load = Load::start(&weir);
    both_take(&weir).await;
    way.set(Weather::Blackhole);
    let mut sender = Sender::new("switched", 21);
    let longest = join_all((0..20).map(|_| switch(&weir, &mut sender)).collect::<Vec<_>>()).await;
    let longest = longest.into_iter().max().unwrap();
    eprintln!("the longest of twenty answers took {longest:.1?}");
    load.answered(if soak() { 600 } else { 20 }).await;
    let made = weir.metric_of("edge", "weir_edge_retries_total", &[("outcome", "made")]).await;
    assert!(made > 0.0, "nothing was tried again");
    way.set(Weather::Fair);
    weir.recovers().await;
    let proof = load.prove(&weir).await;
    assert_eq!((proof.parked, proof.unanswered_requests), (0, 0), "{proof}");
}

/// Posts events, which are accepted; says how long that took.
fn switch<'a>(weir: &'a Weir, sender: &mut Sender) -> impl Future<Output = Duration> + use<'a> {
    let events = sender.events(EVENTS);
    async move {
        let since = Instant::now();
        weir.post(&json!(events)).await.expect_accepted(EVENTS, 0);
        let taken = since.elapsed();
        assert!(taken < SWITCHED, "the answer took {taken:?}");
        taken
    }
}
