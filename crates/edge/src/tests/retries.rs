//! Retries: the calls that are repeated, and those that are not.

use serde_json::json;
use weir_process::Reason;

use super::fake::{Running, event};

#[tokio::test]
async fn a_call_whose_response_was_lost_is_repeated_unchanged_under_the_same_id() {
    let edge = Running::start().await;
    edge.script(|script| script.losses = 2);
    let answer = edge.post(&[], json!([event("a"), event("b")]).to_string()).await;
    assert_eq!((answer.status, &answer.json()["accepted"]), (202, &json!(2)));
    let calls = edge.script(|script| std::mem::take(&mut script.calls));
    assert_eq!(calls.len(), 3);
    assert!(!calls[0].1.publish_id.is_empty());
    assert!(calls.iter().all(|call| *call == calls[0]));
    let metrics = edge.get("/metrics").await.text;
    assert!(metrics.contains(r#"weir_edge_retries_total{upstream="ingest",outcome="made"} 2"#), "{metrics}");
}

#[tokio::test]
async fn each_request_has_its_own_publish_id() {
    let edge = Running::start().await;
    for _ in 0..2 {
        edge.post(&[], event("a").to_string()).await;
    }
    let ids = edge.script(|script| [0, 1].map(|call| script.calls[call].1.publish_id.clone()));
    assert_ne!(ids[0], ids[1]);
}

#[tokio::test]
async fn a_rejected_call_is_not_repeated_to_the_same_instance() {
    let edge = Running::start().await;
    for reason in
        [Reason::JournalFull, Reason::Overloaded, Reason::JournalUnavailable, Reason::InvalidRequest]
    {
        edge.script(|script| script.refusal = Some(reason));
        edge.post(&[], event("a").to_string()).await;
        assert_eq!(edge.script(|script| std::mem::take(&mut script.calls).len()), 1, "{reason:?}");
    }
}

#[tokio::test]
async fn a_call_whose_responses_all_get_lost_is_a_503() {
    let edge = Running::start().await;
    edge.script(|script| script.losses = u32::MAX);
    edge.post(&[], event("a").to_string()).await.assert_problem(503);
    assert_eq!(edge.script(|script| script.calls.len()), 3);
    edge.get("/reports/events").await.assert_problem(503);
    assert_eq!(edge.script(|script| script.queries.len()), 2);
}
