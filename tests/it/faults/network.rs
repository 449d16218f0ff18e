//! Network faults between the roles and their servers.

use std::{net::SocketAddr, time::Duration};

use weir_testkit::{
    Storage, Weir, eventually,
    fault_proxy::{FaultProxy, NetworkCondition},
    load::Load,
    nats::Nats,
    postgres::Postgres,
    soak,
};

/// The time until a silent connection is given up (20 s) and the frames that waited behind it are stored.
const DETECTION_DEADLINE: Duration = Duration::from_secs(30);

/// A fleet whose connections to servers all go through a proxy.
struct ProxiedFleet {
    weir: Weir,
    journal: FaultProxy,
    store: FaultProxy,
}

impl ProxiedFleet {
    async fn start() -> Self {
        let (nats, postgres) = tokio::join!(Nats::start(), Postgres::shared());
        let database_url = postgres.fresh_database_url().await;
        let journal = FaultProxy::start(address(&nats.url())).await;
        let store = FaultProxy::start(address(&database_url)).await;
        let settings = vec![
            ("NATS_URL", format!("nats://{}", journal.address())),
            ("DATABASE_URL", through(&database_url, store.address())),
            ("EDGE_REQUEST_TIMEOUT_MS", "5000".to_owned()),
            ("JOURNAL_ACK_WAIT_MS", "2000".to_owned()),
        ];
        let weir = Weir::fleet_with(Storage::Servers { nats, database_url }, settings).await;
        Self { weir, journal, store }
    }
}

/// The address of a URL on loopback.
pub(super) fn address(url: &str) -> SocketAddr {
    let url = url::Url::parse(url).unwrap();
    format!("127.0.0.1:{}", url.port().unwrap()).parse().unwrap()
}

/// The URL with the port of a proxy.
pub(super) fn through(url: &str, proxy: SocketAddr) -> String {
    let mut url = url::Url::parse(url).unwrap();
    url.set_port(Some(proxy.port())).unwrap();
    url.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_network_to_the_journal_fails_in_every_manner_and_no_yes_is_false() {
    let ProxiedFleet { mut weir, journal, store: _store } = ProxiedFleet::start().await;
    let load = Load::start(&weir);
    for condition in
        [NetworkCondition::Refuse, NetworkCondition::Blackhole, NetworkCondition::ResetAfter(20_000)]
    {
        load.wait_for_accepted(5).await;
        journal.set(condition);
        load.wait_for_refused(if soak() { 100 } else { 5 }).await;
        journal.set(NetworkCondition::Normal);
        weir.expect_recovery().await;
    }
    load.verify(&weir).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_half_open_connection_to_the_journal_is_detected() {
    let ProxiedFleet { mut weir, journal, store: _store } = ProxiedFleet::start().await;
    let load = Load::start(&weir);
    load.wait_for_accepted(5).await;
    journal.set(NetworkCondition::HalfOpen);
    // Two pings without an answer end the connection, within 15 s; the limit is 20 s.
    load.wait_for_refused(1).await;
    load.wait_for_accepted(5).await;
    journal.set(NetworkCondition::Normal);
    weir.expect_recovery().await;
    load.verify(&weir).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_network_to_the_database_fails_in_every_manner_and_senders_do_not_notice() {
    let ProxiedFleet { mut weir, journal: _journal, store } = ProxiedFleet::start().await;
    let load = Load::start(&weir);
    for condition in [
        NetworkCondition::Refuse,
        NetworkCondition::Blackhole,
        NetworkCondition::ResetAfter(20_000),
        NetworkCondition::Latency(Duration::from_millis(50)),
    ] {
        load.wait_for_accepted(5).await;
        store.set(condition);
        load.wait_for_accepted(if soak() { 400 } else { 20 }).await;
        store.set(NetworkCondition::Normal);
        weir.expect_recovery().await;
    }
    expect_outage_without_loss(weir, load).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_half_open_connection_to_the_database_is_detected_and_senders_do_not_notice() {
    let ProxiedFleet { mut weir, journal: _journal, store } = ProxiedFleet::start().await;
    let load = Load::start(&weir);
    load.wait_for_accepted(20).await;
    store.set(NetworkCondition::HalfOpen);
    weir.expect_recovery_within(DETECTION_DEADLINE).await;
    store.set(NetworkCondition::Normal);
    expect_outage_without_loss(weir, load).await;
}

/// Expects that collectors have met faults of the store, and that every request of the load was accepted.
async fn expect_outage_without_loss(weir: Weir, load: Load) {
    eventually(async || {
        let failed = weir.metric("events_failed_total", &[("error_type", "transient")]).await;
        if failed > 0.0 { Ok(()) } else { Err("no collector has met a fault") }
    })
    .await;
    let verification = load.verify(&weir).await;
    assert_eq!((verification.parked, verification.unanswered_requests), (0, 0), "{verification}");
}
