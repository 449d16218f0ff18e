//! SIGTERM behind a load balancer: unready at once, and still serving until the balancer notices.

use std::time::Duration;

use futures::StreamExt as _;
use reqwest::{Body, Client, StatusCode};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use weir_testkit::{Storage, Weir, events::Sender, eventually::within};

/// Long enough for the checks on a slow machine.
const DELAY: Duration = Duration::from_secs(8);
/// The time within which a probe becomes unready.
const UNREADY_WITHIN: Duration = Duration::from_secs(2);
/// 128 + SIGINT.
const INTERRUPTED: Option<i32> = Some(130);

fn delayed() -> Vec<(&'static str, String)> {
    vec![("DRAIN_DELAY_MS", DELAY.as_millis().to_string())]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draining_edge_is_unready_at_once_and_serves_new_clients() {
    let mut weir = Weir::up_with(Storage::Files, delayed()).await;
    let asked = Instant::now();
    weir.signal("TERM").await;
    expect_unready(&weir, "up", &["process"]).await;
    let own = weir.get("/health/ready").await;
    assert_eq!(own.status, StatusCode::SERVICE_UNAVAILABLE, "{own:?}");
    assert_eq!(own.body["dependencies"]["process"]["reason"], "is draining", "{own:?}");
    let mut sender = Sender::new("draining", 3);
    let mut accepted = 0;
    while asked.elapsed() < DELAY * 3 / 4 {
        // A new client makes a new connection.
        let url = format!("http://{}/events", weir.addresses.edge);
        let answer = Client::new().post(url).json(&json!(sender.events(3))).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::ACCEPTED, "after {:?}", asked.elapsed());
        let report = weir.get("/reports/events").await;
        assert_eq!(report.status, StatusCode::OK, "{report:?}");
        accepted += 3;
    }
    weir.stopped().await;
    assert!(asked.elapsed() >= DELAY, "it ended after {:?}", asked.elapsed());
    weir.start_again_with(Vec::new()).await;
    let stored = async || match weir.reported_events().await {
        reported if reported == accepted => Ok(()),
        reported => Err(reported),
    };
    within(Duration::from_secs(60), stored).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_takes_fourteen_seconds_survives_the_signal() {
    let settings = vec![("DRAIN_DELAY_MS", "1000".to_owned())];
    let mut weir = Weir::up_with(Storage::Files, settings).await;
    let body = json!(Sender::new("slow", 5).events(14)).to_string().into_bytes();
    let piece = body.len().div_ceil(14);
    let pieces: Vec<_> = body.chunks(piece).map(<[u8]>::to_vec).collect();
    let slowly = futures::stream::iter(pieces).then(async |piece| {
        sleep(Duration::from_secs(1)).await;
        Ok::<_, std::io::Error>(piece)
    });
    let post = weir.request("/events").header("content-type", "application/json");
    let post = tokio::spawn(post.body(Body::wrap_stream(slowly)).send());
    within(UNREADY_WITHIN * 5, async || match weir.metric("weir_edge_body_bytes_in_flight", &[]).await {
        0.0 => Err("no body has begun"),
        _ => Ok(()),
    })
    .await;
    weir.signal("TERM").await;
    let answer = post.await.unwrap().unwrap();
    assert_eq!(answer.status(), StatusCode::ACCEPTED);
    weir.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_draining_role_of_a_fleet_is_unready_at_once_and_serves() {
    let mut weir = Weir::fleet_with(Storage::servers().await, delayed()).await;
    weir.signal("TERM").await;
    let asked = Instant::now();
    let roles: Vec<_> = weir.addresses.admin_by_process().map(|(name, _)| name).collect();
    for role in roles {
        expect_unready(&weir, role, &["process"]).await;
    }
    let answer = weir.post(&json!(Sender::new("fleet", 4).events(5))).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "after {:?}: {answer:?}", asked.elapsed());
    weir.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_a_draining_process_at_once() {
    for (first, second) in [("TERM", "TERM"), ("INT", "TERM"), ("TERM", "INT")] {
        let settings = vec![("DRAIN_DELAY_MS", "600000".to_owned())];
        let mut weir = Weir::up_with(Storage::Files, settings).await;
        weir.signal(first).await;
        expect_unready(&weir, "up", &["process"]).await;
        weir.signal(second).await;
        assert_eq!(weir.exit_codes().await, [INTERRUPTED], "{first}, {second}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn production_drains_by_default_and_development_does_not() {
    for (environment, expected) in [("production", true), ("staging", true), ("development", false)] {
        let settings = vec![("APP_ENV", environment.to_owned())];
        let mut weir = Weir::up_with(Storage::Files, settings).await;
        weir.stop().await;
        let drained = weir.log().contains(r#""delay_ms":5000"#);
        assert_eq!(drained, expected, "{environment}: {}", weir.log());
    }
}

async fn expect_unready(weir: &Weir, process: &str, dependencies_at_fault: &[&str]) {
    let dependencies = within(UNREADY_WITHIN, async || match weir.readiness(process).await {
        (false, dependencies) => Ok(dependencies),
        (true, dependencies) => Err(dependencies),
    })
    .await;
    for name in dependencies_at_fault {
        let state: &Value = &dependencies[name];
        assert_eq!((&state["ready"], &state["reason"]), (&json!(false), &json!("is draining")), "{process}");
    }
}
