//! What a process says of itself and nobody takes, or somebody takes all the time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::time::{Instant, MissedTickBehavior, interval};
use weir_testkit::{Ground, Weir, eventually, load::Load, soak};

use super::good_client::GoodClient;

const POSTS: usize = 50;
/// A hundred times a second.
const SCRAPE_EVERY: Duration = Duration::from_millis(10);
/// What must have come of it on a machine that does much else.
const LEAST_RATE: f64 = 50.0;

#[tokio::test(flavor = "multi_thread")]
async fn output_that_nobody_reads_stops_nobody() {
    // Everything that every library has to say: megabytes within seconds.
    let settings = vec![("LOG_LEVEL", "trace,weir=trace".to_owned())];
    let mut weir = Weir::unread(Ground::Files, settings).await;
    let mut client = GoodClient::of(&weir);
    let before = client.posts(POSTS).await;
    let load = Load::start(&weir);
    let full = eventually(async || match weir.metric("weir_log_lines_lost_total", &[]).await {
        0.0 => Err("the output still takes every line"),
        _ => Ok(()),
    });
    client.posts_during(full).await;
    let during = client.posts(POSTS).await;
    load.answered(if soak() { 400 } else { 40 }).await;
    weir.recovers().await;
    let lost = weir.metric("weir_log_lines_lost_total", &[]).await;
    eprintln!("{lost} log lines lost; before the pipe was full: {before}; then: {during}");
    let proof = load.prove(&weir).await;
    assert_eq!(proof.unanswered_requests, 0, "{proof}");
    // Not even the last lines are waited for.
    weir.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_that_are_scraped_a_hundred_times_a_second_change_nothing() {
    let mut weir = Weir::on_files().await;
    let mut client = GoodClient::of(&weir);
    let before = client.posts(POSTS).await;
    let load = Load::start(&weir);
    let scrapes = Arc::new(AtomicUsize::new(0));
    let url = format!("http://{}/metrics", weir.addresses.admin_of("up"));
    let (began, scraping) = (Instant::now(), tokio::spawn(scrape(url, Arc::clone(&scrapes))));
    let during = client.posts(POSTS).await;
    load.answered(if soak() { 400 } else { 60 }).await;
    weir.recovers().await;
    assert!(!scraping.is_finished(), "a scrape was not answered");
    scraping.abort();
    let rate = scrapes.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64();
    eprintln!("{rate:.0} scrapes a second; before: {before}; scraped and under load: {during}");
    assert!(rate > LEAST_RATE, "{rate} scrapes a second");
    let proof = load.prove(&weir).await;
    assert_eq!(proof.unanswered_requests, 0, "{proof}");
    weir.stop().await;
}

/// Scrapes until it is aborted, or a scrape is not answered.
async fn scrape(url: String, scrapes: Arc<AtomicUsize>) {
    let client = reqwest::Client::new();
    let mut tick = interval(SCRAPE_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    loop {
        tick.tick().await;
        let answer = client.get(&url).send().await.expect("metrics are served");
        assert!(answer.status().is_success() && answer.bytes().await.is_ok_and(|text| !text.is_empty()));
        scrapes.fetch_add(1, Ordering::Relaxed);
    }
}
