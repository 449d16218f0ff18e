//! Reports: the requests that reach the reporting service, and the responses.

use serde_json::json;
use weir::contract::reporting::v1;
use weir_process::Reason;

use super::fake::{Running, config};

#[tokio::test]
async fn a_query_reaches_the_reporting_service_and_its_range_is_echoed() {
    let edge = Running::start().await;
    let path = "/reports/events?from=2025-09-14T09:00:00+02:00&to=2025-09-15&source=tiktok&eventType=comment&groupBy=hour";
    let answer = edge.get(path).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let range = json!({"from": "2025-09-14T07:00:00Z", "to": "2025-09-15T00:00:00Z"});
    assert_eq!(answer.json(), json!({"dateRange": range, "totalEvents": 0, "events": [], "series": []}));
    let question = edge.script(|script| script.queries.remove(0));
    assert_eq!((question.source, question.event_type, question.funnel_stage), (2, 3, 0));
    assert_eq!(question.group_by(), v1::GroupBy::Hour);
}

#[tokio::test]
async fn every_report_works_without_parameters() {
    let edge = Running::start().await;
    for report in ["events", "revenue", "demographics"] {
        let answer = edge.get(&format!("/reports/{report}")).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert_eq!(answer.json()["dateRange"], json!({"from": null, "to": null}));
        assert!(answer.json().get("series").is_none());
    }
}

#[tokio::test]
async fn invalid_parameters_are_named_and_no_service_is_called() {
    let edge = Running::start().await;
    let problem = edge.get("/reports/events?limit=5&source=x&source=y").await.assert_problem(400);
    let parameters: Vec<&str> = problem["violations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|violation| violation["parameter"].as_str().unwrap())
        .collect();
    assert_eq!(parameters, ["limit", "source", "source"]);
    assert!(edge.script(|script| script.queries.is_empty()));
}

#[tokio::test]
async fn a_rejection_of_the_reporting_service_names_the_parameter() {
    let edge = Running::start().await;
    edge.script(|script| script.refusal = Some(Reason::InvalidRequest));
    let problem = edge.get("/reports/events?groupBy=hour").await.assert_problem(400);
    assert_eq!(problem["violations"], json!([{"parameter": "groupBy", "message": "choose day"}]));
    edge.script(|script| script.refusal = Some(Reason::StoreUnavailable));
    let answer = edge.get("/reports/events").await;
    assert_eq!(answer.assert_problem(503)["reason"], json!("STORE_UNAVAILABLE"));
    assert_eq!(answer.header("retry-after"), Some("1"));
}

#[tokio::test]
async fn a_report_without_a_reporting_service_is_a_503() {
    let edge = Running::start_alone(config()).await;
    edge.get("/reports/revenue").await.assert_problem(503);
}
