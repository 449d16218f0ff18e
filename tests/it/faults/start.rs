//! Processes that start before their servers.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;
use weir_testkit::{
    Storage, Weir,
    eventually::within,
    fault_proxy::{FaultProxy, NetworkCondition},
    nats::Nats,
    postgres::Postgres,
};

use super::network::{address, through};

/// The time until the ready probe lists the missing dependencies.
const PROBE_DEADLINE: Duration = Duration::from_secs(5);
/// The time until a process serves its live probe, on a machine that compiles too.
const START_DEADLINE: Duration = Duration::from_secs(30);
const AT_ONCE: Duration = Duration::from_secs(5);

const ROLES: &[(&str, &[&str])] = &[
    ("edge", &["edge"]),
    ("ingest", &["ingest"]),
    ("collect-facebook", &["collect", "facebook"]),
    ("reporting", &["reporting"]),
];

/// Processes whose nats-server is dead and whose PostgreSQL refuses every connection.
async fn start_early(processes: &[(&'static str, &[&str])]) -> (Weir, FaultProxy) {
    let (mut nats, postgres) = tokio::join!(Nats::start(), Postgres::shared());
    nats.kill();
    let database_url = postgres.fresh_database_url().await;
    let store = FaultProxy::start(address(&database_url)).await;
    store.set(NetworkCondition::Refuse);
    let database_url = through(&database_url, store.address());
    (Weir::launch(Storage::Servers { nats, database_url }, Vec::new(), processes), store)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_role_shows_its_missing_dependencies_and_is_ready_when_they_come() {
    let (mut weir, store) = start_early(ROLES).await;
    for (role, waits_for) in [
        ("edge", &["ingest"][..]),
        ("ingest", &["journal"]),
        ("collect-facebook", &["journal", "database"]),
        ("reporting", &["database"]),
    ] {
        expect_waiting(&weir, role, waits_for).await;
    }
    weir.nats().start_again().await;
    for role in ["ingest", "edge"] {
        expect_ready(&weir, role).await;
    }
    expect_waiting(&weir, "collect-facebook", &["database"]).await;
    within(PROBE_DEADLINE, async || match weir.readiness("collect-facebook").await {
        (_, dependencies) if dependencies["journal"]["ready"] == true => Ok(()),
        (_, dependencies) => Err(dependencies),
    })
    .await;
    store.set(NetworkCondition::Normal);
    weir.expect_recovery().await;
    weir.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_process_with_every_role_shows_its_missing_dependencies() {
    let (mut weir, store) = start_early(&[("up", &["up"])]).await;
    expect_waiting(
        &weir,
        "up",
        &["ingest.journal", "collectors.journal", "collectors.database", "reporting.database"],
    )
    .await;
    weir.nats().start_again().await;
    store.set(NetworkCondition::Normal);
    weir.expect_recovery().await;
    weir.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_process_ends_on_sigterm() {
    let (mut weir, _store) = start_early(ROLES).await;
    for (role, _) in &ROLES[1..] {
        expect_waiting(&weir, role, &[]).await;
        let signalled = Instant::now();
        weir.stop_process(role).await;
        assert!(signalled.elapsed() < AT_ONCE, "{role} took {:?}", signalled.elapsed());
    }
}

/// Expects a process to be live, and not ready because of these dependencies.
async fn expect_waiting(weir: &Weir, process: &str, waits_for: &[&str]) {
    let url = format!("http://{}/health/live", weir.addresses.admin_of(process));
    within(START_DEADLINE, async || reqwest::get(&url).await.map_err(|error| error.to_string())).await;
    let (ready, dependencies) = within(PROBE_DEADLINE, async || match weir.readiness(process).await {
        (ready, dependencies) if waits_for.iter().all(|name| is_missing(&dependencies[name])) => {
            Ok((ready, dependencies))
        }
        (_, dependencies) => Err(dependencies),
    })
    .await;
    assert!(!ready, "{process}: {dependencies}");
    let live = reqwest::get(&url).await.unwrap();
    assert_eq!(live.status(), 200, "{process}");
}

fn is_missing(dependency: &Value) -> bool {
    dependency["ready"] == false && dependency["reason"].is_string()
}

async fn expect_ready(weir: &Weir, process: &str) {
    within(PROBE_DEADLINE * 2, async || match weir.readiness(process).await {
        (true, _) => Ok(()),
        (false, dependencies) => Err(dependencies),
    })
    .await;
}
