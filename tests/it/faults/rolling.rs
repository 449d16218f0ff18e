//! A rolling restart under load: each of two replicas of every role ends and starts again in turn.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use reqwest::{Client, StatusCode};
use serde_json::json;
use tokio::task::JoinHandle;
use weir_database::{Access, connect};
use weir_process::Stop;
use weir_testkit::{Storage, Weir, database::stored_events, events::Sender, eventually, load::Load, soak};

const FAST: &[&str] = &["edge", "edge-too", "ingest", "collect-facebook", "reporting"];
const ALL: &[&str] = &[
    "edge",
    "edge-too",
    "ingest",
    "ingest-too",
    "collect-facebook",
    "collect-facebook-too",
    "collect-tiktok",
    "collect-tiktok-too",
    "reporting",
    "reporting-too",
];
const CLIENTS: [&str; 3] = ["one", "two", "three"];
/// The attempts of one request before the client fails.
const MOST_ATTEMPTS: usize = 10;
const PAUSE: Duration = Duration::from_millis(100);

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_of_each_role_are_replaced_in_turn_and_no_client_fails() {
    let mut weir = Weir::pairs().await;
    let stop = Stop::new();
    let retries = Arc::new(AtomicUsize::new(0));
    let clients = CLIENTS.map(|name| Persistent::of(&weir, name, &retries).run(stop.clone()));
    // A publisher that never retries, and logs every answer in its ledger.
    let load = Load::start(&weir);
    load.wait_for_accepted(5).await;
    for name in if soak() { ALL } else { FAST } {
        let before = retries.load(Ordering::Relaxed);
        weir.stop_process(name).await;
        weir.start_process(name);
        weir.expect_recovery().await;
        eprintln!("{name} was replaced: {} retries", retries.load(Ordering::Relaxed) - before);
        load.wait_for_accepted(5).await;
    }
    stop.cancel();
    let mut accepted = BTreeSet::new();
    for client in clients {
        accepted.extend(client.await.expect("no request of a client that retries fails"));
    }
    assert!(retries.load(Ordering::Relaxed) > 0, "no client has met a replacement");
    expect_stored(&weir, accepted).await;
    load.verify(&weir).await;
    weir.stop().await;
}

/// Waits until exactly the accepted events of these clients are stored.
async fn expect_stored(weir: &Weir, accepted: BTreeSet<String>) {
    let Storage::Servers { database_url, .. } = weir.storage() else { panic!("a fleet is on servers") };
    let database = connect(&database_url.parse().unwrap(), Access::Write, Duration::ZERO).await.unwrap();
    let of_the_clients = |id: &String| CLIENTS.iter().any(|name| id.starts_with(&format!("{name}-")));
    eventually(async || {
        let ids = stored_events(&database).await.into_iter().map(|event| event.event_id);
        let ids: Vec<String> = ids.filter(of_the_clients).collect();
        if ids.len() == accepted.len() && ids.iter().all(|id| accepted.contains(id)) {
            Ok(())
        } else {
            Err(format!("{} of {} are stored", ids.len(), accepted.len()))
        }
    })
    .await;
    eprintln!("{} events of clients that retry, each stored once", accepted.len());
}

/// A client that goes to the other edge when one refuses. It requests a report after each post.
struct Persistent {
    http: Client,
    edges: [String; 2],
    sender: Sender,
    retries: Arc<AtomicUsize>,
}

impl Persistent {
    fn of(weir: &Weir, name: &'static str, retries: &Arc<AtomicUsize>) -> Self {
        let edges = [weir.addresses.edge, weir.addresses.edge_too].map(|address| format!("http://{address}"));
        Self { http: Client::new(), edges, sender: Sender::new(name, 31), retries: Arc::clone(retries) }
    }

    /// Posts until `stop`; returns the accepted ids.
    fn run(mut self, stop: Stop) -> JoinHandle<Vec<String>> {
        tokio::spawn(async move {
            let mut accepted = Vec::new();
            while !stop.is_cancelled() {
                let events = self.sender.events(20);
                self.persist(StatusCode::ACCEPTED, |http, edge| {
                    http.post(format!("{edge}/events")).json(&json!(events))
                })
                .await;
                let ids = events.iter().filter_map(|event| event["eventId"].as_str());
                accepted.extend(ids.map(str::to_owned));
                self.persist(StatusCode::OK, |http, edge| http.get(format!("{edge}/reports/events"))).await;
            }
            accepted
        })
    }

    /// Retries without an answer and after a 503. Fails at any other status but `wanted`.
    async fn persist(
        &mut self,
        wanted: StatusCode,
        request: impl Fn(&Client, &str) -> reqwest::RequestBuilder,
    ) {
        for _ in 0..MOST_ATTEMPTS {
            match request(&self.http, &self.edges[0]).send().await.map(|answer| answer.status()) {
                Ok(status) if status == wanted => return,
                Ok(StatusCode::SERVICE_UNAVAILABLE) | Err(_) => {}
                Ok(status) => panic!("answered {status}"),
            }
            self.retries.fetch_add(1, Ordering::Relaxed);
            self.edges.swap(0, 1);
            tokio::time::sleep(PAUSE).await;
        }
        panic!("no answer at either edge in {MOST_ATTEMPTS} attempts");
    }
}
