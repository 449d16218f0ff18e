//! What networks do between any two processes.

use std::{net::SocketAddr, time::Duration};

use weir_testkit::{
    Ground, Weir, eventually,
    fault_proxy::{FaultProxy, Weather},
    load::Load,
    nats::Nats,
    postgres::Postgres,
    soak,
};

/// How soon a connection that died silently is given up (20 s) and what waited behind it is stored.
const NOTICED: Duration = Duration::from_secs(30);

/// A fleet whose every connection to a server goes through a proxy.
struct Networked {
    weir: Weir,
    journal: FaultProxy,
    store: FaultProxy,
}

impl Networked {
    async fn start() -> Self {
        let (nats, postgres) = tokio::join!(Nats::start(), Postgres::shared());
        let database_url = postgres.fresh_address().await;
        let journal = FaultProxy::before(address(&nats.url())).await;
        let store = FaultProxy::before(address(&database_url)).await;
        let settings = vec![
            ("NATS_URL", format!("nats://{}", journal.address())),
            ("DATABASE_URL", through(&database_url, store.address())),
            ("EDGE_REQUEST_TIMEOUT_MS", "5000".to_owned()),
            ("JOURNAL_ACK_WAIT_MS", "2000".to_owned()),
        ];
        let weir = Weir::fleet_with(Ground::Servers { nats, database_url }, settings).await;
        Self { weir, journal, store }
    }
}

/// The host and port of a URL.
pub(super) fn address(url: &str) -> SocketAddr {
    let url = url::Url::parse(url).unwrap();
    format!("127.0.0.1:{}", url.port().unwrap()).parse().unwrap()
}

pub(super) fn through(url: &str, proxy: SocketAddr) -> String {
    let mut url = url::Url::parse(url).unwrap();
    url.set_port(Some(proxy.port())).unwrap();
    url.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_way_to_the_journal_fails_in_every_manner_and_no_yes_is_false() {
    let Networked { mut weir, journal, store: _store } = Networked::start().await;
    let load = Load::start(&weir);
    for weather in [Weather::Refuse, Weather::Blackhole, Weather::ResetAfter(20_000)] {
        load.answered(5).await;
        journal.set(weather);
        load.refused(if soak() { 100 } else { 5 }).await;
        journal.set(Weather::Fair);
        weir.recovers().await;
    }
    load.prove(&weir).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_half_open_way_to_the_journal_is_noticed() {
    let Networked { mut weir, journal, store: _store } = Networked::start().await;
    let load = Load::start(&weir);
    load.answered(5).await;
    journal.set(Weather::HalfOpen);
    // Two pings without an answer: within 15 s, and 20 are promised.
    load.refused(1).await;
    load.answered(5).await;
    journal.set(Weather::Fair);
    weir.recovers().await;
    load.prove(&weir).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_way_to_the_database_fails_in_every_manner_and_senders_do_not_notice() {
    let Networked { mut weir, journal: _journal, store } = Networked::start().await;
    let load = Load::start(&weir);
    for weather in [
        Weather::Refuse,
        Weather::Blackhole,
        Weather::ResetAfter(20_000),
        Weather::Latency(Duration::from_millis(50)),
    ] {
        load.answered(5).await;
        store.set(weather);
        load.answered(if soak() { 400 } else { 20 }).await;
        store.set(Weather::Fair);
        weir.recovers().await;
    }
    expect_outage_without_loss(weir, load).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_half_open_way_to_the_database_is_noticed_and_senders_do_not_notice() {
    let Networked { mut weir, journal: _journal, store } = Networked::start().await;
    let load = Load::start(&weir);
    load.answered(20).await;
    store.set(Weather::HalfOpen);
    weir.recovers_within(NOTICED).await;
    store.set(Weather::Fair);
    expect_outage_without_loss(weir, load).await;
}

/// The store was away, and senders had nothing but yeses.
async fn expect_outage_without_loss(weir: Weir, load: Load) {
    eventually(async || {
        let failed = weir.metric("events_failed_total", &[("error_type", "transient")]).await;
        if failed > 0.0 { Ok(()) } else { Err("no fault was felt") }
    })
    .await;
    let proof = load.prove(&weir).await;
    assert_eq!((proof.parked, proof.unanswered_requests), (0, 0), "{proof}");
}
