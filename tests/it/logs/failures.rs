//! One failure of each role. Its log entry leads to the trace and to the call at every log level.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use weir_event::Source;
use weir_testkit::{
    Storage, TraceCollector, Weir, events::with_id, eventually, nats::Nats, postgres::Postgres,
};

/// The trace of the caller.
const TRACE: &str = "7d1e5b3c9a2f4e6088aa55cc11ee22bb";

#[tokio::test(flavor = "multi_thread")]
async fn the_log_entry_of_a_failure_names_its_trace_and_its_call() {
    let collector = TraceCollector::start().await;
    fail_in_turn(collector.settings(), true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_entry_of_a_failure_names_its_call_without_tracing() {
    fail_in_turn(Vec::new(), false).await;
}

/// Stops the database and then the journal, and checks the log entry of each role about the failed calls.
async fn fail_in_turn(mut settings: Vec<(&'static str, String)>, traced: bool) {
    let (nats, postgres) = tokio::join!(Nats::start(), Postgres::start());
    // Longer than ingest waits for the journal and reporting for the store. Only the edge logs a call that it
    // gives up first.
    settings.extend([("LOG_LEVEL", "warn".to_owned()), ("EDGE_REQUEST_TIMEOUT_MS", "20000".to_owned())]);
    let database_url = postgres.fresh_database_url().await;
    let mut weir = Weir::fleet_with(Storage::Servers { nats, database_url }, settings).await;
    postgres.kill();
    assert_eq!(post(&weir, "to-be-stored").await, StatusCode::ACCEPTED);
    expect(&weir, "facebook-collector", "trying again until it works", "to-be-stored", traced).await;
    let report = weir.request_by(Method::GET, "/reports/events");
    assert_eq!(send(&weir, report, "to-be-reported").await, StatusCode::SERVICE_UNAVAILABLE);
    expect(&weir, "reporting", "report failed", "to-be-reported", traced).await;
    expect(&weir, "edge", "request could not be served", "to-be-reported", traced).await;
    weir.nats().kill();
    assert_eq!(post(&weir, "to-be-sent").await, StatusCode::SERVICE_UNAVAILABLE);
    expect(&weir, "ingest", "items are not durable", "to-be-sent", traced).await;
    expect(&weir, "edge", "request could not be served", "to-be-sent", traced).await;
}

async fn post(weir: &Weir, correlation_id: &str) -> StatusCode {
    let event = with_id(Source::Facebook, correlation_id);
    send(weir, weir.request("/events").json(&json!([event])), correlation_id).await
}

async fn send(weir: &Weir, request: reqwest::RequestBuilder, correlation_id: &str) -> StatusCode {
    let request = request.header("x-correlation-id", correlation_id);
    weir.send(request.header("traceparent", format!("00-{TRACE}-00f067aa0ba902b7-01"))).await.status
}

/// Waits for the entry of a role about a call.
async fn expect(weir: &Weir, role: &str, message: &str, correlation_id: &str, traced: bool) {
    let entry = eventually(async || {
        let log = weir.log();
        let entries = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let mut of_role = entries.filter(|entry| entry["role"] == role && entry["message"] == message);
        of_role.find(|entry| entry["correlation_id"] == correlation_id).ok_or(log)
    })
    .await;
    let hexadecimal = |field: &str, digits: usize| {
        let text = entry[field].as_str().unwrap_or_default();
        text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    assert_eq!(hexadecimal("trace_id", 32), traced, "{entry}");
    assert_eq!(hexadecimal("span_id", 16), traced, "{entry}");
    // The entry of a collector is about a batch, which is a trace of its own.
    assert_eq!(entry["trace_id"] == TRACE, traced && role != "facebook-collector", "{entry}");
}
