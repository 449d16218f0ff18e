//! A real Prometheus with the deployed rules scrapes a real fleet under load, and every question of every board and
//! every rule is answered.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::json;
use weir_testkit::{Ground, Weir, events::Sender, eventually, load::Load, prometheus::Prometheus, soak};

use super::{
    boards, expression,
    rules::{alerts, recorded},
};
use crate::{runbook::is_query, runbook::text::codes};

/// The trace that the story's own requests belong to.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
/// What the story of one process on files does not show: what comes after faults, and clocks of servers.
const NOT_ON_FILES: [&str; 3] =
    ["frames_redelivered_total", "weir_edge_retries_total", "weir_clock_skew_seconds"];
/// What Prometheus makes itself.
const OF_PROMETHEUS: [&str; 2] = ["up", "ALERTS"];
/// What the runbook asks for and is shown from its first fault on: a frame of a newer version.
const OF_FAULTS: [&str; 1] = ["frames_left_total"];

#[tokio::test(flavor = "multi_thread")]
async fn every_panel_and_every_rule_finds_data_in_a_fleet_under_load() {
    // Short, so that what a dead collector held is offered again within the story.
    let settings = vec![("JOURNAL_ACK_WAIT_MS", "2000".to_owned())];
    let mut weir = Weir::fleet_with(Ground::servers().await, settings).await;
    let prometheus = Prometheus::scraping(&weir);
    let load = Load::start(&weir);
    load.answered(5).await;
    redeliver(&mut weir).await;
    make_the_edge_call_again(&mut weir).await;
    if soak() {
        // A minute, at twenty requests a second.
        load.answered(600).await;
        load.answered(600).await;
    }
    all_are_answered(&weir, &prometheus, &[]).await;
    for question in boards::questions().into_iter().filter(|question| question.exemplars) {
        leads_to_a_trace(&weir, &prometheus, &question).await;
    }
    eventually(async || match prometheus.unwell_rules().await?.as_slice() {
        [] => Ok(()),
        unwell => Err(format!("{unwell:#?}")),
    })
    .await;
    for query in runbook_queries() {
        prometheus.query(&query).await.unwrap_or_else(|error| panic!("docs/runbook.md: {query}: {error}"));
    }
    every_name_exists(&weir).await;
    load.prove(&weir).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn panels_and_rules_find_data_in_one_process_on_files_under_load() {
    let weir = Weir::on_files().await;
    let prometheus = Prometheus::scraping(&weir);
    let load = Load::start(&weir);
    load.answered(5).await;
    all_are_answered(&weir, &prometheus, &NOT_ON_FILES).await;
    load.prove(&weir).await;
}

/// A collector dies between commit and acknowledgement.
async fn redeliver(weir: &mut Weir) {
    weir.kill("collect-tiktok").await;
    weir.revive_with("collect-tiktok", &[("WEIR_FAILPOINT", "collector-before-ack")]);
    weir.died("collect-tiktok").await;
    weir.revive("collect-tiktok");
    weir.recovers().await;
    eventually(async || {
        let redelivered = weir.metric("frames_redelivered_total", &[]).await;
        if redelivered > 0.0 { Ok(()) } else { Err("nothing was redelivered yet") }
    })
    .await;
}

/// Ingest goes away and comes back.
async fn make_the_edge_call_again(weir: &mut Weir) {
    weir.kill("ingest").await;
    eventually(async || {
        weir.post(&json!(Sender::new("repeated", 5).events(1))).await;
        let repeated = weir.metric_of("edge", "weir_edge_retries_total", &[]).await;
        if repeated > 0.0 { Ok(()) } else { Err("no call was made again yet") }
    })
    .await;
    weir.revive("ingest");
    weir.recovers().await;
}

/// What boards ask, what rules record and what alerts compare is answered with numbers, sooner or later. An alert has
/// no answer while it is quiet; what it compares has. Without questions after `except`.
async fn all_are_answered(weir: &Weir, prometheus: &Prometheus, except: &[&str]) {
    let mut open: BTreeSet<String> =
        boards::questions().into_iter().map(|question| question.expression).collect();
    open.extend(recorded().into_iter().flat_map(|rule| [rule.expression, rule.name]));
    let compared = alerts().into_iter().flat_map(|rule| expression::selectors(&rule.expression));
    open.extend(compared.map(|selector| selector.query()));
    open.retain(|question| !except.iter().any(|metric| question.contains(metric)));
    eventually(async || {
        ask_for_everything(weir).await;
        let mut unanswered = BTreeSet::new();
        for question in &open {
            if let Err(why) = prometheus.finds(question).await {
                unanswered.insert((question.clone(), why));
            }
        }
        open = unanswered.iter().map(|(question, _)| question.clone()).collect();
        if open.is_empty() { Ok(()) } else { Err(unanswered) }
    })
    .await;
}

async fn leads_to_a_trace(weir: &Weir, prometheus: &Prometheus, question: &boards::Question) {
    eventually(async || {
        ask_for_everything(weir).await;
        let traces = prometheus.exemplars(&question.expression).await?;
        if traces.iter().any(|trace| trace == TRACE) { Ok(()) } else { Err(question.place.clone()) }
    })
    .await;
}

/// What the publisher does not do: reports, and posts that are part of a recorded trace.
async fn ask_for_everything(weir: &Weir) {
    let traceparent = format!("00-{TRACE}-00f067aa0ba902b7-01");
    let post = weir.request("/events").header("traceparent", &traceparent);
    weir.send(post.json(&Sender::new("traced", 3).events(10))).await;
    for report in ["events", "revenue", "demographics"] {
        let report = weir.request_by(Method::GET, &format!("/reports/{report}?from=2025-01-01"));
        weir.send(report.header("traceparent", &traceparent)).await;
    }
}

/// What the runbook has an operator ask Prometheus.
fn runbook_queries() -> impl Iterator<Item = String> {
    let codes = codes("docs/runbook.md").into_iter().filter(|code| code.block.is_none());
    codes.map(|code| code.text).filter(|text| is_query(text) && !text.starts_with("SELECT"))
}

/// Every name that a board, a rule or the runbook uses is that of a recorded or a scraped series.
async fn every_name_exists(weir: &Weir) {
    let mut known: BTreeSet<String> = weir.series().await.into_iter().map(|series| series.name).collect();
    known.extend(recorded().into_iter().map(|rule| rule.name));
    known.extend(OF_PROMETHEUS.into_iter().chain(OF_FAULTS).map(str::to_owned));
    let asked = boards::questions().into_iter().map(|question| question.expression);
    let computed = recorded().into_iter().chain(alerts()).map(|rule| rule.expression);
    for expression in asked.chain(computed).chain(runbook_queries()) {
        for selector in expression::selectors(&expression) {
            assert!(known.contains(&selector.name), "no process shows {}: {expression}", selector.name);
        }
    }
}
