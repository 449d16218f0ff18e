//! A well-behaved client, which measures its latencies while other clients misbehave.

use std::{fmt, time::Duration};

use reqwest::{Client, StatusCode};
use serde_json::json;
use tokio::time::Instant;
use weir_testkit::{Weir, events::Sender};

/// The timeout of a post: longer than any bound of the edge that the client may have to wait for.
const TIMEOUT: Duration = Duration::from_secs(20);
const EVENTS: usize = 10;

/// Posts small arrays one after the other, each over a new connection.
pub(super) struct GoodClient {
    http: Client,
    url: String,
    sender: Sender,
    /// The number of accepted events.
    pub(super) accepted: usize,
}

/// The latencies of posts.
pub(super) struct Waits(Vec<Duration>);

impl GoodClient {
    pub(super) fn of(weir: &Weir) -> Self {
        let http = Client::builder().pool_max_idle_per_host(0).timeout(TIMEOUT).build();
        Self {
            http: http.expect("a client without TLS can be built"),
            url: format!("http://{}/events", weir.addresses.edge),
            sender: Sender::new("good", 23),
            accepted: 0,
        }
    }

    /// Posts an array, and returns its latency; fails unless it is accepted in time.
    pub(super) async fn post(&mut self) -> Duration {
        let began = Instant::now();
        let answer = self.http.post(&self.url).json(&json!(self.sender.events(EVENTS))).send().await;
        let answer =
            answer.unwrap_or_else(|error| panic!("no answer after {:?}: {error:?}", began.elapsed()));
        assert_eq!(answer.status(), StatusCode::ACCEPTED, "after {:?}", began.elapsed());
        self.accepted += EVENTS;
        began.elapsed()
    }

    /// The latencies of so many posts.
    pub(super) async fn posts(&mut self, requests: usize) -> Waits {
        let mut waits = Vec::new();
        for _ in 0..requests {
            waits.push(self.post().await);
        }
        Waits(waits)
    }

    /// Posts until `fault` has ended, and at least once.
    pub(super) async fn posts_during<T>(&mut self, fault: impl Future<Output = T>) -> (T, Waits) {
        let mut fault = std::pin::pin!(fault);
        let mut waits = Vec::new();
        loop {
            let mut post = std::pin::pin!(self.post());
            tokio::select! {
                wait = &mut post => waits.push(wait),
                ended = &mut fault => {
                    waits.push(post.await);
                    return (ended, Waits(waits));
                }
            }
        }
    }
}

impl Waits {
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Display for Waits {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let at = |percent: usize| sorted[(sorted.len() - 1) * percent / 100];
        write!(
            formatter,
            "{} posts, median {:.1?}, p99 {:.1?}, worst {:.1?}",
            sorted.len(),
            at(50),
            at(99),
            at(100)
        )
    }
}
