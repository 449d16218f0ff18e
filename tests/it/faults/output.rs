//! Output of a process that is never read, and metrics that are scraped all the time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::time::{Instant, MissedTickBehavior, interval};
use weir_testkit::{Storage, Weir, eventually, load::Load, soak};

use super::good_client::GoodClient;

const POSTS: usize = 50;
/// The interval of scrapes: a hundred times a second.
const SCRAPE_EVERY: Duration = Duration::from_millis(10);
/// The lowest rate of scrapes a second, on a busy machine.
const LEAST_RATE: f64 = 50.0;

#[tokio::test(flavor = "multi_thread")]
async fn unread_output_stops_no_process() {
    // The most verbose log of every library: megabytes within seconds.
    let settings = vec![("LOG_LEVEL", "trace,weir=trace".to_owned())];
    let mut weir = Weir::with_unread_output(Storage::Files, settings).await;
    let mut client = GoodClient::of(&weir);
    let before = client.posts(POSTS).await;
    let load = Load::start(&weir);
    let full = eventually(async || match weir.metric("weir_log_lines_lost_total", &[]).await {
        0.0 => Err("no line is lost yet"),
        _ => Ok(()),
    });
    client.posts_during(full).await;
    let during = client.posts(POSTS).await;
    load.wait_for_accepted(if soak() { 400 } else { 40 }).await;
    weir.expect_recovery().await;
    let lost = weir.metric("weir_log_lines_lost_total", &[]).await;
    eprintln!("{lost} log lines lost; before the pipe was full: {before}; then: {during}");
    let verification = load.verify(&weir).await;
    assert_eq!(verification.unanswered_requests, 0, "{verification}");
    // The process does not wait for its last lines to be read.
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
    load.wait_for_accepted(if soak() { 400 } else { 60 }).await;
    weir.expect_recovery().await;
    assert!(!scraping.is_finished(), "a scrape was not answered");
    scraping.abort();
    let rate = scrapes.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64();
    eprintln!("{rate:.0} scrapes a second; before: {before}; scraped and under load: {during}");
    assert!(rate > LEAST_RATE, "{rate} scrapes a second");
    let verification = load.verify(&weir).await;
    assert_eq!(verification.unanswered_requests, 0, "{verification}");
    weir.stop().await;
}

/// Scrapes until the task is aborted; fails if a scrape is not answered.
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
