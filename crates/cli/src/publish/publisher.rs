//! Posts batches at a fixed pace, whether the ones before were answered or not.

use std::{path::PathBuf, time::Duration};

use anyhow::Context as _;
use chrono::{SubsecRound as _, Utc};
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::{Client, StatusCode, header::CONTENT_TYPE};
use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep},
};
use url::Url;
use weir::process::{Stop, http_client};

use super::{
    stream::{EventStream, Mix},
    summary::{Answer, Exchange, Failure, Summary},
};
use crate::{ledger::Ledger, output::grouped};

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
    /// Where it is written down what was answered yes.
    pub(crate) ledger: Option<PathBuf>,
}

/// Where requests go, and where it is written down what becomes of them.
#[derive(Clone)]
struct Sender {
    client: Client,
    endpoint: Url,
    ledger: Option<Ledger>,
}

/// One request, ready to be sent.
struct Request {
    number: u64,
    body: Vec<u8>,
    events: u64,
    duplicates: u64,
}

/// Publishes as planned until the duration is over or `stop`, waits for the answers to come and sums up.
///
/// # Errors
/// No HTTP client can be had, or the ledger can't be written.
pub(crate) async fn publish(plan: Plan, stop: Stop) -> anyhow::Result<Summary> {
    let sender = Sender::of(&plan)?;
    let progress = progress_bar(plan.duration);
    let mut stream = EventStream::new(plan.mix, plan.seed);
    let mut requests = 0;
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
            Some(exchange) = in_flight.join_next() => note(&mut summary, exchange??, &progress),
            _ = tick.tick() => {
                let request;
                (stream, request) = sender.prepare(stream, requests).await?;
                requests += 1;
                in_flight.spawn(sender.clone().post(request));
            }
        }
    }
    while let Some(exchange) = in_flight.join_next().await {
        note(&mut summary, exchange??, &progress);
    }
    progress.finish_and_clear();
    Ok(summary)
}

impl Sender {
    fn of(plan: &Plan) -> anyhow::Result<Self> {
        let client = http_client::builder(&plan.endpoint)
            .timeout(ANSWER_TIMEOUT)
            .build()
            .context("no HTTP client can be had")?;
        let ledger =
            plan.ledger.as_deref().map(|path| Ledger::begin(path, plan.seed, &plan.mix)).transpose()?;
        Ok(Self { client, endpoint: plan.endpoint.clone(), ledger })
    }

    /// Mints the next request, and writes down that it is about to be sent.
    async fn prepare(&self, mut stream: EventStream, number: u64) -> anyhow::Result<(EventStream, Request)> {
        let ledger = self.ledger.clone();
        let prepared = tokio::task::spawn_blocking(move || {
            // To the millisecond, as the ledger has it: a finer moment could not be minted again.
            let now = Utc::now().trunc_subsecs(3);
            let batch = stream.next_batch(now);
            let (events, duplicates) = (batch.events(), batch.duplicates());
            ledger.map_or(Ok(()), |ledger| ledger.asked(number, now, events))?;
            Ok((stream, Request { number, body: batch.body(), events, duplicates }))
        });
        prepared.await?
    }

    /// Posts a request; what was answered is on disk before it is counted.
    async fn post(self, request: Request) -> anyhow::Result<Exchange> {
        let Request { number, body, events, duplicates } = request;
        let started = Instant::now();
        let request = self.client.post(self.endpoint).header(CONTENT_TYPE, "application/json").body(body);
        let answer = answer(request).await;
        let exchange = Exchange { events, duplicates, latency: started.elapsed(), answer };
        if let Some(ledger) = self.ledger {
            let outcome = exchange.outcome();
            tokio::task::spawn_blocking(move || ledger.answered(number, outcome)).await??;
        }
        Ok(exchange)
    }
}

async fn answer(request: reqwest::RequestBuilder) -> Result<Answer, Failure> {
    let unknown = |error: reqwest::Error| Failure { reason: reason(&error), refused: false };
    let response = request.send().await.map_err(unknown)?;
    let status = response.status();
    let body = response.bytes().await.map_err(unknown)?;
    if !status.is_success() {
        return Err(Failure { reason: status.to_string(), refused: is_refusal(status) });
    }
    Ok(serde_json::from_slice(&body).unwrap_or_default())
}

/// Whether the status says that the request was at fault. A request that took too long is not: nobody knows how
/// far it came.
fn is_refusal(status: StatusCode) -> bool {
    status.is_client_error() && status != StatusCode::REQUEST_TIMEOUT
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
