//! When the edge can't say yes.

use std::time::Duration;

use serde_json::json;
use weir::process::Reason;

use super::fake::{Running, config, event};
use crate::EdgeConfig;

#[tokio::test]
async fn a_journal_that_does_not_take_it_is_a_503_with_a_time_to_try_again() {
    let edge = Running::start().await;
    for (reason, error_type) in [
        (Reason::JournalFull, "journal_full"),
        (Reason::JournalUnavailable, "journal_unavailable"),
        (Reason::Overloaded, "overloaded"),
    ] {
        edge.script(|script| script.refusal = Some(reason));
        let answer = edge.post(&[], json!([event("a"), event("b")]).to_string()).await;
        let problem = answer.assert_problem(503);
        assert_eq!(problem["reason"], json!(reason.name()));
        assert!(problem.get("accepted").is_none());
        assert!(answer.header("retry-after").unwrap().parse::<u32>().unwrap() >= 1);
        let metrics = edge.get("/metrics").await.text;
        let counted =
            format!(r#"events_failed_total{{service="edge",source="tiktok",error_type="{error_type}"}} 2"#);
        assert!(metrics.contains(&counted), "{counted} is missing in\n{metrics}");
    }
    assert!(!edge.get("/metrics").await.text.contains("events_accepted_total{"));
}

#[tokio::test]
async fn a_quota_is_a_429_and_a_call_that_we_made_wrong_is_a_500() {
    let edge = Running::start().await;
    for (reason, status) in [(Reason::QuotaExceeded, 429), (Reason::InvalidRequest, 500)] {
        edge.script(|script| script.refusal = Some(reason));
        edge.post(&[], event("a").to_string()).await.assert_problem(status);
    }
}

#[tokio::test]
async fn without_any_ingest_it_is_a_503() {
    let edge = Running::start_alone(config()).await;
    let answer = edge.post(&[], event("a").to_string()).await;
    assert_eq!(answer.assert_problem(503)["reason"], json!("JOURNAL_UNAVAILABLE"));
    assert!(answer.header("retry-after").is_some());
}

#[tokio::test]
async fn an_ingest_that_never_answers_is_a_503_in_time() {
    let config = EdgeConfig { request_timeout: Duration::from_millis(100), ..config() };
    let edge = Running::start_with(config).await;
    edge.script(|script| script.silent = true);
    edge.post(&[], event("a").to_string()).await.assert_problem(503);
}

#[tokio::test]
async fn wrong_paths_and_methods_are_problems_too() {
    let edge = Running::start().await;
    edge.get("/nothing").await.assert_problem(404);
    edge.get("/api/nothing").await.assert_problem(404);
    let answer = edge.get("/events").await;
    assert_eq!(answer.header("allow"), Some("POST"));
    answer.assert_problem(405);
}

#[tokio::test]
async fn every_answer_names_its_correlation_id() {
    let edge = Running::start().await;
    for (sent, kept) in [("a.B_9:-", true), ("with space", false), (&*"x".repeat(129), false)] {
        for path in ["/events", "/nothing", "/health/live"] {
            let request = edge.client.post(edge.url(path)).header("x-correlation-id", sent);
            let answer = request.body("[]").send().await.unwrap();
            let id = answer.headers()["x-correlation-id"].to_str().unwrap();
            assert_eq!(id == sent, kept, "{path}: {id}");
        }
    }
}
