//! Processes that are started before their servers.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;
use weir_testkit::{
    Ground, Weir,
    eventually::within,
    fault_proxy::{FaultProxy, Weather},
    nats::Nats,
    postgres::Postgres,
};

use super::network::{address, through};

/// How soon it shows that a process lives and what it waits for.
const SHOWN: Duration = Duration::from_secs(5);
/// Processes that start beside compilers take their time.
const STARTED: Duration = Duration::from_secs(30);
const AT_ONCE: Duration = Duration::from_secs(5);

const ROLES: &[(&str, &[&str])] = &[
    ("edge", &["edge"]),
    ("ingest", &["ingest"]),
    ("collect-facebook", &["collect", "facebook"]),
    ("reporting", &["reporting"]),
];

/// Processes whose nats-server is dead and whose PostgreSQL refuses every connection.
async fn early(processes: &[(&'static str, &[&str])]) -> (Weir, FaultProxy) {
    let (mut nats, postgres) = tokio::join!(Nats::start(), Postgres::shared());
    nats.kill();
    let database_url = postgres.fresh_address().await;
    let store = FaultProxy::before(address(&database_url)).await;
    store.set(Weather::Refuse);
    let database_url = through(&database_url, store.address());
    (Weir::launched(Ground::Servers { nats, database_url }, Vec::new(), processes), store)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_role_shows_what_it_waits_for_and_gets_ready_when_it_comes() {
    let (mut weir, store) = early(ROLES).await;
    for (role, waits_for) in [
        ("edge", &["ingest"][..]),
        ("ingest", &["journal"]),
        ("collect-facebook", &["journal", "database"]),
        ("reporting", &["database"]),
    ] {
        shows(&weir, role, waits_for).await;
    }
    weir.nats().start_again().await;
    for role in ["ingest", "edge"] {
        becomes_ready(&weir, role).await;
    }
    shows(&weir, "collect-facebook", &["database"]).await;
    within(SHOWN, async || match weir.readiness("collect-facebook").await {
        (_, dependencies) if dependencies["journal"]["ready"] == true => Ok(()),
        (_, dependencies) => Err(dependencies),
    })
    .await;
    store.set(Weather::Fair);
    weir.recovers().await;
    weir.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_process_of_every_role_shows_the_same() {
    let (mut weir, store) = early(&[("up", &["up"])]).await;
    shows(
        &weir,
        "up",
        &["ingest.journal", "collectors.journal", "collectors.database", "reporting.database"],
    )
    .await;
    weir.nats().start_again().await;
    store.set(Weather::Fair);
    weir.recovers().await;
    weir.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_waits_ends_when_it_is_asked_to() {
    let (mut weir, _store) = early(ROLES).await;
    for (role, _) in &ROLES[1..] {
        shows(&weir, role, &[]).await;
        let asked = Instant::now();
        weir.retire(role).await;
        assert!(asked.elapsed() < AT_ONCE, "{role} took {:?}", asked.elapsed());
    }
}

/// Live, and not ready because of these.
async fn shows(weir: &Weir, process: &str, waits_for: &[&str]) {
    let url = format!("http://{}/health/live", weir.addresses.admin_of(process));
    within(STARTED, async || reqwest::get(&url).await.map_err(|error| error.to_string())).await;
    let (ready, dependencies) = within(SHOWN, async || match weir.readiness(process).await {
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

async fn becomes_ready(weir: &Weir, process: &str) {
    within(SHOWN * 2, async || match weir.readiness(process).await {
        (true, _) => Ok(()),
        (false, dependencies) => Err(dependencies),
    })
    .await;
}
