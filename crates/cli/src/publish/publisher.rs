//! The publisher: posts batches at a fixed pace, whether the earlier ones are answered or not.

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
    diagnosis::{ServerKind, Target},
};

use super::{
    causes::FailureCauses,
    summary::{Exchange, PostAnswer, RequestError, Summary},
};
use crate::{
    client::http_client,
    generator::{EventStream, Mix},
    ledger::Ledger,
    output::grouped,
};

/// The edge answers or refuses within 30 s. After twice that no answer comes.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// The content, the endpoint and the duration of a run.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) endpoint: Url,
    pub(crate) mix: Mix,
    /// The time from one request to the next.
    pub(crate) interval: Duration,
    /// `None` means until a stop.
    pub(crate) duration: Option<Duration>,
    pub(crate) seed: u64,
    /// The file that records the answers.
    pub(crate) ledger: Option<PathBuf>,
}

/// Sends requests and records their outcomes.
#[derive(Clone)]
struct Sender {
    client: Client,
    endpoint: Url,
    causes: FailureCauses,
    ledger: Option<Ledger>,
}

/// One request, ready to be sent.
struct Request {
    number: u64,
    body: Vec<u8>,
    events: u64,
    duplicates: u64,
}

/// Publishes until the duration is over or `stop`, awaits the answers and returns the summary.
///
/// # Errors
/// The HTTP client can't be made, or the ledger can't be written.
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
            plan.ledger.as_deref().map(|path| Ledger::start_run(path, plan.seed, &plan.mix)).transpose()?;
        let endpoint = plan.endpoint.clone();
        let target = Target {
            url: endpoint.clone(),
            setting: "EVENT_ENDPOINT or --endpoint",
            kind: ServerKind::Edge,
            instance: None,
        };
        let client = http_client(&target, ANSWER_TIMEOUT)?;
        Ok(Self { client, endpoint, causes: FailureCauses::of(target, progress.clone()), ledger })
    }

    /// Generates the next request, and records it before it is sent.
    async fn prepare(&self, mut stream: EventStream, number: u64) -> anyhow::Result<(EventStream, Request)> {
        let ledger = self.ledger.clone();
        let prepared = tokio::task::spawn_blocking(move || {
            // To the millisecond, as in the ledger. An item of a finer time could not be generated again.
            let now = Utc::now().trunc_subsecs(3);
            let batch = stream.next_batch(now);
            let (events, duplicates) = (batch.events(), batch.duplicates());
            ledger.map_or(Ok(()), |ledger| ledger.record_request(number, now, events))?;
            Ok((stream, Request { number, body: batch.body(), events, duplicates }))
        });
        prepared.await?
    }

    /// Posts a request. Its outcome is on disk before it counts.
    async fn post(self, request: Request) -> anyhow::Result<Exchange> {
        let Request { number, body, events, duplicates } = request;
        let started = Instant::now();
        let request = self.client.post(self.endpoint).header(CONTENT_TYPE, "application/json").body(body);
        let answer = self.causes.watch(answer(request, &self.causes)).await.and_then(|answer| answer);
        if let Err(error) = &answer {
            self.causes.report(&error.reason);
        }
        let exchange = Exchange { events, duplicates, latency: started.elapsed(), answer };
        if let Some(ledger) = self.ledger {
            let outcome = exchange.outcome();
            tokio::task::spawn_blocking(move || ledger.record_answer(number, outcome)).await??;
        }
        Ok(exchange)
    }
}

async fn answer(
    request: reqwest::RequestBuilder,
    causes: &FailureCauses,
) -> Result<PostAnswer, RequestError> {
    let (status, redirect, body) = match received(request).await {
        Ok(received) => received,
        Err(error) => {
            return Err(RequestError {
                reason: causes.of_error(&error, ANSWER_TIMEOUT).await,
                refused: false,
            });
        }
    };
    causes.answered();
    let reported: Value = serde_json::from_slice(&body).unwrap_or_default();
    if status.is_success() && reported["accepted"].is_u64() {
        return Ok(serde_json::from_value(reported).unwrap_or_default());
    }
    let reason = causes.of_answer(status, &body, redirect.as_deref());
    Err(RequestError { reason, refused: is_refusal(status) })
}

/// The status, the target of a redirect, and the whole body.
async fn received(
    request: reqwest::RequestBuilder,
) -> reqwest::Result<(StatusCode, Option<String>, Vec<u8>)> {
    let response = request.send().await?;
    let redirect = response.headers().get(LOCATION);
    let redirect = redirect.map(|location| String::from_utf8_lossy(location.as_bytes()).into_owned());
    Ok((response.status(), redirect, response.bytes().await?.into()))
}

/// Returns true if the status blames the request. A timeout does not, because a part of the request may be
/// stored.
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

/// Shown on standard error, and only on a terminal.
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
