//! A cluster of three nats-servers under load, while its servers die and come back.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use reqwest::StatusCode;
use serde_json::{Value, json};
use weir_testkit::{Storage, Weir, events::Sender, eventually, nats::Cluster};

use crate::{
    model::{Model, Query},
    reports::expect_reports,
};

const ARRAY: usize = 200;
/// The longest time without an accepted array. An election takes a few seconds at most, and a reconnect about one.
const REFUSAL_DEADLINE: Duration = Duration::from_secs(10);

/// A load that posts each array until it is accepted.
#[derive(Debug, Default)]
struct Load {
    stop: AtomicBool,
    accepted: AtomicUsize,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_loses_nothing_when_a_server_dies_and_another_comes_back_empty() {
    let mut cluster = Cluster::start().await;
    let settings = vec![
        ("NATS_URL", cluster.url()),
        ("NATS_MONITOR_URL", cluster.monitor_url()),
        ("JOURNAL_REPLICAS", "3".to_owned()),
    ];
    let mut weir = Weir::up_with(Storage::servers().await, settings).await;
    let load = Load::default();
    let ((model, refused), ()) = tokio::join!(load.pour(&weir), async {
        load.accepted_more().await;
        cluster.kill(0);
        load.accepted_more().await;
        cluster.start_again(0).await;
        cluster.healthy().await;
        cluster.kill(1);
        cluster.start_again_empty(1).await;
        cluster.healthy().await;
        load.accepted_more().await;
        load.stop.store(true, Ordering::Relaxed);
    });
    assert!(refused < REFUSAL_DEADLINE, "no array was accepted for {refused:?}");
    eventually(async || match weir.reported_events().await {
        events if events == model.len() as u64 => Ok(()),
        events => Err(format!("{events} of {}", model.len())),
    })
    .await;
    expect_reports(&weir, &model, &Query::default()).await;
    weir.stop().await;
}

impl Load {
    /// Posts arrays, each until it is accepted. Returns a model of the accepted events, and the longest time for which
    /// an array was refused.
    async fn pour(&self, weir: &Weir) -> (Model, Duration) {
        let (mut sender, mut model) = (Sender::new("cluster", 13), Model::default());
        let mut longest = Duration::ZERO;
        while !self.stop.load(Ordering::Relaxed) {
            let array = sender.events(ARRAY);
            longest = longest.max(post_until_accepted(weir, &array).await);
            model.accept(&array);
            self.accepted.fetch_add(1, Ordering::Relaxed);
        }
        (model, longest)
    }

    /// Waits until ten more arrays are accepted.
    async fn accepted_more(&self) {
        let before = self.accepted.load(Ordering::Relaxed);
        eventually(async || match self.accepted.load(Ordering::Relaxed) {
            now if now >= before + 10 => Ok(()),
            now => Err(format!("{before} arrays were accepted, then {now}")),
        })
        .await;
    }
}

/// Posts an array until it is accepted. Returns the time from the first refusal on, or zero without a refusal.
async fn post_until_accepted(weir: &Weir, array: &[Value]) -> Duration {
    let mut refused: Option<Instant> = None;
    loop {
        let answer = weir.post(&json!(array)).await;
        match answer.status {
            StatusCode::ACCEPTED => return refused.map(|first| first.elapsed()).unwrap_or_default(),
            StatusCode::SERVICE_UNAVAILABLE => {
                assert!(answer.header("retry-after").parse::<u32>().is_ok());
                refused.get_or_insert_with(Instant::now);
            }
            _ => panic!("{answer:?}"),
        }
    }
}
