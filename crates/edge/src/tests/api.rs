//! Health, metrics and the API description.

use serde_json::{Value, json};

use super::fake::{Running, config};

#[tokio::test]
async fn the_edge_is_ready_while_an_ingest_serves() {
    let edge = Running::start().await;
    let ready = edge.until_ready(true).await.json();
    assert_eq!(ready["dependencies"]["ingest"]["ready"], json!(true));
    assert!(ready["dependencies"]["reporting"]["required"] == json!(false));
    assert_eq!(edge.get("/health/live").await.status, 200);
}

#[tokio::test]
async fn an_edge_without_ingest_names_the_missing_service() {
    let edge = Running::start_alone(config()).await;
    let ready = edge.until_ready(false).await;
    assert_eq!(ready.status, 503);
    assert!(ready.json()["dependencies"]["ingest"]["reason"].as_str().unwrap().contains("127.0.0.1:1"));
    assert_eq!(edge.get("/health/live").await.status, 200);
}

#[tokio::test]
async fn a_metric_has_the_limit_of_bytes_in_flight() {
    let edge = Running::start().await;
    let metrics = edge.get("/metrics").await;
    assert!(metrics.text.contains("weir_edge_body_bytes_limit 268435456"), "{}", metrics.text);
}

#[tokio::test]
async fn the_api_description_is_complete_and_its_page_works_offline() {
    let edge = Running::start().await;
    let document = edge.get("/api/openapi.json").await.json();
    for path in [
        "/events",
        "/webhook",
        "/webhooks",
        "/events/{source}/{eventId}",
        "/reports/events",
        "/reports/revenue",
        "/reports/demographics",
        "/health/live",
        "/health/ready",
        "/metrics",
    ] {
        let operations = document["paths"][path].as_object().unwrap_or_else(|| panic!("{path} is missing"));
        for (method, operation) in operations {
            for status in ["421", "431"] {
                assert!(operation["responses"][status].is_object(), "{path}: {operation}");
            }
            assert_eq!(operation["responses"]["403"].is_object(), method == "post", "{path}: {operation}");
        }
    }
    for schema in [
        "Event",
        "Events",
        "Accepted",
        "Problem",
        "EventReport",
        "RevenueReport",
        "DemographicsReport",
        "Whereabouts",
    ] {
        assert!(document["components"]["schemas"].get(schema).is_some(), "{schema} is missing");
    }
    assert_references_lead_somewhere(&document, &document);
    let page = edge.get("/api").await;
    assert_eq!(page.status, 200);
    assert!(page.text.contains("swagger-ui"), "{}", page.text);
    assert!(!page.text.contains("https://"), "{}", page.text);
}

fn assert_references_lead_somewhere(document: &Value, part: &Value) {
    match part {
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get("$ref") {
                assert!(document.pointer(&reference[1..]).is_some(), "{reference}");
            }
            members.values().for_each(|member| assert_references_lead_somewhere(document, member));
        }
        Value::Array(members) => {
            members.iter().for_each(|member| assert_references_lead_somewhere(document, member));
        }
        _ => {}
    }
}
