//! Posts batches at a fixed pace, whether the ones before were answered or not.

use std::{path::PathBuf, time::Duration};

use chrono::{SubsecRound as _, Utc};
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::{
    Client, StatusCode,
    header::{CONTENT_TYPE, LOCATION},
};
use serde_json::Value;
use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep},
};
use url::Url;
use weir_process::{
    Stop,
    diagnosis::{Target, Wanted},
};

use super::{
    causes::Causes,
    summary::{Answer, Exchange, Failure, Summary},
};
use crate::{
    client::client_of,
    generator::{EventStream, Mix},
    ledger::Ledger,
    output::grouped,
};

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
    causes: Causes,
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
    let progress = progress_bar(plan.duration);
    let sender = Sender::of(&plan, &progress)?;
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
    fn of(plan: &Plan, progress: &ProgressBar) -> anyhow::Result<Self> {
        let ledger =
            plan.ledger.as_deref().map(|path| Ledger::begin(path, plan.seed, &plan.mix)).transpose()?;
        let endpoint = plan.endpoint.clone();
        let target = Target {
            url: endpoint.clone(),
            setting: "EVENT_ENDPOINT or --endpoint",
            wanted: Wanted::Edge,
            instance: None,
        };
        let client = client_of(&target, ANSWER_TIMEOUT)?;
        Ok(Self { client, endpoint, causes: Causes::of(target, progress.clone()), ledger })
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
        let answer = self.causes.watch(answer(request, &self.causes)).await.and_then(|answer| answer);
        if let Err(failure) = &answer {
            self.causes.tell(&failure.reason);
        }
        let exchange = Exchange { events, duplicates, latency: started.elapsed(), answer };
        if let Some(ledger) = self.ledger {
            let outcome = exchange.outcome();
            tokio::task::spawn_blocking(move || ledger.answered(number, outcome)).await??;
        }
        Ok(exchange)
    }
}

async fn answer(request: reqwest::RequestBuilder, causes: &Causes) -> Result<Answer, Failure> {
    let (status, redirect, body) = match received(request).await {
        Ok(received) => received,
        Err(error) => {
            return Err(Failure { reason: causes.of_error(&error, ANSWER_TIMEOUT).await, refused: false });
        }
    };
    causes.answered();
    let told: Value = serde_json::from_slice(&body).unwrap_or_default();
    if status.is_success() && told["accepted"].is_u64() {
        return Ok(serde_json::from_value(told).unwrap_or_default());
    }
    let reason = causes.of_answer(status, &body, redirect.as_deref());
    Err(Failure { reason, refused: is_refusal(status) })
}

/// The status, where it leads to, and the whole body.
async fn received(
    request: reqwest::RequestBuilder,
) -> reqwest::Result<(StatusCode, Option<String>, Vec<u8>)> {
    let response = request.send().await?;
    let redirect = response.headers().get(LOCATION);
    let redirect = redirect.map(|location| String::from_utf8_lossy(location.as_bytes()).into_owned());
    Ok((response.status(), redirect, response.bytes().await?.into()))
}

/// Whether the status says that the request was at fault. A request that took too long is not: nobody knows how
/// far it came.
fn is_refusal(status: StatusCode) -> bool {
    status.is_client_error() && status != StatusCode::REQUEST_TIMEOUT
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
