//! A real Prometheus with the deployed rules scrapes a fleet under load, and every query of the boards and the rules
//! finds data.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::json;
use weir_testkit::{Storage, Weir, events::Sender, eventually, load::Load, prometheus::Prometheus, soak};

use super::{
    boards, expression,
    rules::{alerts, recorded},
};
use crate::{runbook::is_query, runbook::text::codes};

/// The trace of the story's requests.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
/// Metrics that one process on files does not show in its story: those of faults, and of servers' clocks.
const NOT_ON_FILES: [&str; 3] =
    ["frames_redelivered_total", "weir_edge_retries_total", "weir_clock_skew_seconds"];
/// Series that Prometheus makes itself.
const OF_PROMETHEUS: [&str; 2] = ["up", "ALERTS"];
/// Metrics of the runbook that appear with the first fault: a frame of a newer version.
const OF_FAULTS: [&str; 1] = ["frames_left_total"];

#[tokio::test(flavor = "multi_thread")]
async fn every_panel_and_every_rule_finds_data_in_a_fleet_under_load() {
    // A short deadline, so that the journal offers the frames of a dead collector again within the story.
    let settings = vec![("JOURNAL_ACK_WAIT_MS", "2000".to_owned())];
    let mut weir = Weir::fleet_with(Storage::servers().await, settings).await;
    let prometheus = Prometheus::start(&weir);
    let load = Load::start(&weir);
    load.wait_for_accepted(5).await;
    redeliver(&mut weir).await;
    make_the_edge_retry(&mut weir).await;
    if soak() {
        // This takes a minute, at twenty requests a second.
        load.wait_for_accepted(600).await;
        load.wait_for_accepted(600).await;
    }
    expect_all_answered(&weir, &prometheus, &[]).await;
    for query in boards::panel_queries().into_iter().filter(|query| query.exemplars) {
        expect_exemplar_of_trace(&weir, &prometheus, &query).await;
    }
    eventually(async || match prometheus.unhealthy_rules().await?.as_slice() {
        [] => Ok(()),
        unhealthy => Err(format!("{unhealthy:#?}")),
    })
    .await;
    for query in runbook_queries() {
        prometheus.query(&query).await.unwrap_or_else(|error| panic!("docs/runbook.md: {query}: {error}"));
    }
    expect_every_metric_exists(&weir).await;
    load.verify(&weir).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn panels_and_rules_find_data_in_one_process_on_files_under_load() {
    let weir = Weir::on_files().await;
    let prometheus = Prometheus::start(&weir);
    let load = Load::start(&weir);
    load.wait_for_accepted(5).await;
    expect_all_answered(&weir, &prometheus, &NOT_ON_FILES).await;
    load.verify(&weir).await;
}

/// Makes a collector die between commit and acknowledgement, so that its frames are redelivered.
async fn redeliver(weir: &mut Weir) {
    weir.kill("collect-tiktok").await;
    weir.start_process_with("collect-tiktok", &[("WEIR_FAILPOINT", "collector-before-ack")]);
    weir.exit_of("collect-tiktok").await;
    weir.start_process("collect-tiktok");
    weir.expect_recovery().await;
    eventually(async || {
        let redelivered = weir.metric("frames_redelivered_total", &[]).await;
        if redelivered > 0.0 { Ok(()) } else { Err("nothing was redelivered yet") }
    })
    .await;
}

/// Kills ingest and starts it again, so that the edge retries a call.
async fn make_the_edge_retry(weir: &mut Weir) {
    weir.kill("ingest").await;
    eventually(async || {
        weir.post(&json!(Sender::new("repeated", 5).events(1))).await;
        let repeated = weir.metric_of("edge", "weir_edge_retries_total", &[]).await;
        if repeated > 0.0 { Ok(()) } else { Err("no call was retried yet") }
    })
    .await;
    weir.start_process("ingest");
    weir.expect_recovery().await;
}

/// Waits until the queries of boards, the recorded rules and the selectors of alerts have all returned a number. A
/// quiet alert itself returns nothing. Queries that contain a metric of `except` are left out.
async fn expect_all_answered(weir: &Weir, prometheus: &Prometheus, except: &[&str]) {
    let mut open: BTreeSet<String> =
        boards::panel_queries().into_iter().map(|query| query.expression).collect();
    open.extend(recorded().into_iter().flat_map(|rule| [rule.expression, rule.name]));
    let compared = alerts().into_iter().flat_map(|rule| expression::selectors(&rule.expression));
    open.extend(compared.map(|selector| selector.query()));
    open.retain(|query| !except.iter().any(|metric| query.contains(metric)));
    eventually(async || {
        request_reports_in_trace(weir).await;
        let mut unanswered = BTreeSet::new();
        for query in &open {
            if let Err(why) = prometheus.check_data(query).await {
                unanswered.insert((query.clone(), why));
            }
        }
        open = unanswered.iter().map(|(query, _)| query.clone()).collect();
        if open.is_empty() { Ok(()) } else { Err(unanswered) }
    })
    .await;
}

/// Waits until an exemplar of the query is the story's trace.
async fn expect_exemplar_of_trace(weir: &Weir, prometheus: &Prometheus, query: &boards::PanelQuery) {
    eventually(async || {
        request_reports_in_trace(weir).await;
        let traces = prometheus.exemplars(&query.expression).await?;
        if traces.iter().any(|trace| trace == TRACE) { Ok(()) } else { Err(query.place.clone()) }
    })
    .await;
}

/// Requests reports and posts events as part of a recorded trace, which the publisher does not do.
async fn request_reports_in_trace(weir: &Weir) {
    let traceparent = format!("00-{TRACE}-00f067aa0ba902b7-01");
    let post = weir.request("/events").header("traceparent", &traceparent);
    weir.send(post.json(&Sender::new("traced", 3).events(10))).await;
    for report in ["events", "revenue", "demographics"] {
        let report = weir.request_by(Method::GET, &format!("/reports/{report}?from=2025-01-01"));
        weir.send(report.header("traceparent", &traceparent)).await;
    }
}

/// The queries of the runbook.
fn runbook_queries() -> impl Iterator<Item = String> {
    let codes = codes("docs/runbook.md").into_iter().filter(|code| code.block.is_none());
    codes.map(|code| code.text).filter(|text| is_query(text) && !text.starts_with("SELECT"))
}

/// Expects that every metric in a board, a rule or the runbook is recorded or scraped.
async fn expect_every_metric_exists(weir: &Weir) {
    let mut known: BTreeSet<String> = weir.series().await.into_iter().map(|series| series.name).collect();
    known.extend(recorded().into_iter().map(|rule| rule.name));
    known.extend(OF_PROMETHEUS.into_iter().chain(OF_FAULTS).map(str::to_owned));
    let on_boards = boards::panel_queries().into_iter().map(|query| query.expression);
    let computed = recorded().into_iter().chain(alerts()).map(|rule| rule.expression);
    for expression in on_boards.chain(computed).chain(runbook_queries()) {
        for selector in expression::selectors(&expression) {
            assert!(known.contains(&selector.name), "no process shows {}: {expression}", selector.name);
        }
    }
}
