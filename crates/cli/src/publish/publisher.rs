//! Posts batches at a fixed pace, whether the ones before were answered or not.

use std::time::Duration;

use anyhow::Context as _;
use chrono::Utc;
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::{Client, header::CONTENT_TYPE};
use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep},
};
use url::Url;
use weir::process::Stop;

use super::{
    stream::{Batch, EventStream, Mix},
    summary::{Answer, Exchange, Summary},
};
use crate::output::grouped;

/// The edge answers or refuses within 30 s; what takes twice that will not be answered.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// What is published, where and how long.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) endpoint: Url,
    pub(crate) mix: Mix,
    /// From one request to the next.
    pub(crate) interval: Duration,
    /// `None` means until it is stopped.
    pub(crate) duration: Option<Duration>,
    pub(crate) seed: u64,
}

/// Publishes as planned until the duration is over or `stop`, waits for the answers to come and sums up.
///
/// # Errors
/// No HTTP client can be had.
pub(crate) async fn publish(plan: Plan, stop: Stop) -> anyhow::Result<Summary> {
    let client = Client::builder().timeout(ANSWER_TIMEOUT).build().context("no HTTP client can be had")?;
    let progress = progress_bar(plan.duration);
    let mut stream = EventStream::new(plan.mix, plan.seed);
    let mut in_flight = JoinSet::new();
    let mut summary = Summary::default();
    let mut tick = interval(plan.interval);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let over = sleep(plan.duration.unwrap_or(Duration::MAX));
    tokio::pin!(over);
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            () = &mut over => break,
            Some(exchange) = in_flight.join_next() => note(&mut summary, exchange?, &progress),
            _ = tick.tick() => {
                let batch;
                (stream, batch) = tokio::task::spawn_blocking(move || with_next_batch(stream)).await?;
                in_flight.spawn(post(client.clone(), plan.endpoint.clone(), batch));
            }
        }
    }
    while let Some(exchange) = in_flight.join_next().await {
        note(&mut summary, exchange?, &progress);
    }
    progress.finish_and_clear();
    Ok(summary)
}

fn with_next_batch(mut stream: EventStream) -> (EventStream, Batch) {
    let batch = stream.next_batch(Utc::now());
    (stream, batch)
}

async fn post(client: Client, endpoint: Url, batch: Batch) -> Exchange {
    let Batch { body, events, duplicates } = batch;
    let started = Instant::now();
    let request = client.post(endpoint).header(CONTENT_TYPE, "application/json").body(body);
    let answer = answer(request).await;
    Exchange { events, duplicates, latency: started.elapsed(), answer }
}

async fn answer(request: reqwest::RequestBuilder) -> Result<Answer, String> {
    let response = request.send().await.map_err(|error| reason(&error))?;
    let status = response.status();
    let body = response.bytes().await.map_err(|error| reason(&error))?;
    if !status.is_success() {
        return Err(status.to_string());
    }
    Ok(serde_json::from_slice(&body).unwrap_or_default())
}

/// The last cause says it best, and names no request: failures with the same reason are counted together.
fn reason(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("no answer in {} s", ANSWER_TIMEOUT.as_secs());
    }
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    causes.last().map_or_else(|| error.to_string(), ToString::to_string)
}

fn note(summary: &mut Summary, exchange: Exchange, progress: &ProgressBar) {
    summary.add(exchange);
    progress.set_position(progress.elapsed().as_secs());
    progress.set_message(format!(
        "{} requests, {} events sent, {} accepted, {} rejected, {} failed",
        summary.requests(),
        grouped(summary.events),
        grouped(summary.accepted),
        grouped(summary.rejected),
        summary.failed()
    ));
}

/// On standard error, and only where that is a terminal.
fn progress_bar(duration: Option<Duration>) -> ProgressBar {
    let (bar, template) = match duration {
        Some(duration) => (ProgressBar::new(duration.as_secs()), "{elapsed} {bar:30} {msg}"),
        None => (ProgressBar::new_spinner(), "{elapsed} {spinner} {msg}"),
    };
    let style = ProgressStyle::with_template(template).expect("the template is well formed");
    bar.enable_steady_tick(Duration::from_millis(200));
    bar.with_style(style)
}

#[cfg(test)]
mod tests;
