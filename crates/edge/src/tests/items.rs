//! Items: good ones are accepted, bad ones are named.

use serde_json::{Value, json};
use weir::contract::ingest::v1::{Item, RejectedItem, item::Content};

use super::fake::{Running, bad_event, event, id};

const VALID: &str = include_str!("../../../../tests/events/valid.jsonl");
const INVALID: &str = include_str!("../../../../tests/events/invalid.jsonl");

fn cases(lines: &str) -> Vec<Value> {
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn ids(items: &[Item]) -> Vec<String> {
    items
        .iter()
        .map(|item| match item.content.as_ref().unwrap() {
            Content::Event(event) => id(event),
            Content::Rejected(rejected) => format!("!{}", rejected.event_id),
        })
        .collect()
}

fn rejected(item: &Item) -> &RejectedItem {
    match item.content.as_ref().unwrap() {
        Content::Rejected(rejected) => rejected,
        Content::Event(event) => panic!("{} was admitted", id(event)),
    }
}

#[tokio::test]
async fn good_items_are_accepted_although_others_are_bad() {
    let edge = Running::start().await;
    let body = json!([event("a"), bad_event("b"), event("c"), 17]).to_string();
    let answer = edge.post(&[("content-type", "application/json"), ("x-correlation-id", "abc")], body).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    let reply = answer.json();
    assert_eq!(
        (&reply["accepted"], &reply["rejected"], &reply["correlationId"]),
        (&json!(2), &json!(2), &json!("abc"))
    );
    let errors = reply["errors"].as_array().unwrap();
    assert_eq!((&errors[0]["index"], &errors[0]["eventId"]), (&json!(1), &json!("b")));
    assert_eq!(errors[0]["violations"][0]["pointer"], json!("/timestamp"));
    assert_eq!((&errors[1]["index"], errors[1].get("eventId")), (&json!(3), None));
    assert_eq!(ids(&edge.sent()), ["a", "!b", "c", "!"]);
    assert!(reply.get("errorsTruncated").is_none());
}

#[tokio::test]
async fn every_reference_event_is_accepted_or_rejected_as_expected() {
    let edge = Running::start().await;
    let valid: Vec<Value> = cases(VALID).into_iter().map(|case| case["event"].clone()).collect();
    let reply = edge.post(&[], Value::from(valid.clone()).to_string()).await.json();
    assert_eq!((&reply["accepted"], &reply["errors"]), (&json!(valid.len()), &json!([])));
    for case in cases(INVALID) {
        let reply = edge.post(&[], json!([case["event"]]).to_string()).await.assert_problem(400);
        let violations = reply["errors"][0]["violations"].as_array().unwrap();
        let mut pointers: Vec<&str> =
            violations.iter().map(|violation| violation["pointer"].as_str().unwrap()).collect();
        pointers.sort_unstable();
        assert_eq!(json!(pointers), case["pointers"], "{}", case["case"]);
    }
}

#[tokio::test]
async fn a_body_of_bad_items_alone_is_rejected_and_names_all_of_them() {
    let edge = Running::start().await;
    for (body, errors) in [("17", 1), ("[1,2,3]", 3), ("\"x\"", 1), ("{}", 1)] {
        let problem = edge.post(&[], body).await.assert_problem(400);
        assert_eq!(problem["errors"].as_array().unwrap().len(), errors, "{body}");
        assert_eq!(problem["errors"][0]["index"], json!(0));
    }
    assert_eq!(edge.sent().len(), 6);
}

#[tokio::test]
async fn an_empty_array_is_accepted() {
    let edge = Running::start().await;
    let answer = edge.post(&[], "[]").await;
    assert_eq!((answer.status, &answer.json()["accepted"]), (202, &json!(0)));
    assert!(edge.sent().is_empty());
}

#[tokio::test]
async fn a_bad_line_is_a_bad_item_and_a_blank_line_is_none() {
    let edge = Running::start().await;
    let body = format!("\n{}\r\n\n{{\"eventId\": \n{}\n", event("a"), event("b"));
    let reply = edge.post(&[("content-type", "application/x-ndjson")], body).await.json();
    assert_eq!((&reply["accepted"], &reply["rejected"]), (&json!(2), &json!(1)));
    assert_eq!(reply["errors"][0]["index"], json!(1));
    let violation = &reply["errors"][0]["violations"][0];
    assert_eq!(violation["pointer"], json!(""));
    assert!(violation["message"].as_str().unwrap().contains("JSON"), "{violation}");
    assert_eq!(rejected(&edge.sent()[1]).raw, b"{\"eventId\":");
}

#[tokio::test]
async fn the_lowest_index_of_a_repeated_identity_is_sent() {
    let edge = Running::start().await;
    let mut other = event("a");
    other["data"]["user"]["username"] = json!("other");
    let body = json!([bad_event("a"), event("a"), event("b"), other, event("a"), bad_event("b")]);
    let reply = edge.post(&[], body.to_string()).await.json();
    assert_eq!((&reply["accepted"], &reply["rejected"]), (&json!(4), &json!(2)));
    let sent = edge.sent();
    assert_eq!(ids(&sent), ["!a", "a", "b", "!b"]);
    assert_eq!(sent.iter().map(|item| item.repeats).collect::<Vec<_>>(), [0, 2, 0, 0]);
}

#[tokio::test]
async fn a_violation_that_only_ingest_finds_is_reported() {
    let edge = Running::start().await;
    edge.script(|script| script.newer_rule = Some("b"));
    let reply = edge.post(&[], json!([event("a"), event("b")]).to_string()).await.json();
    assert_eq!((&reply["accepted"], &reply["rejected"]), (&json!(1), &json!(1)));
    let expected = json!({"index": 1, "eventId": "b",
                          "violations": [{"pointer": "/data", "message": "is out of fashion"}]});
    assert_eq!(reply["errors"][0], expected);
}

#[tokio::test]
async fn an_item_over_the_limit_is_sent_cut_with_its_whole_size_and_hash() {
    let edge = Running::start().await;
    let mut large = event("large");
    large["padding"] = json!("x".repeat(256 * 1024));
    let body = json!([event("a"), large]).to_string();
    let reply = edge.post(&[], body).await.json();
    assert_eq!(reply["errors"][0]["violations"][0]["pointer"], json!(""));
    assert_eq!(reply["errors"][0]["eventId"], json!("large"));
    let sent = edge.sent();
    let cut = rejected(&sent[1]);
    assert_eq!((cut.raw.len(), cut.size, cut.sha256.len()), (64 * 1024, large.to_string().len() as u64, 32));
    let metrics = edge.get("/metrics").await.text;
    let counted = r#"events_failed_total{service="edge",source="tiktok",error_type="too_large"} 1"#;
    assert!(metrics.contains(counted), "{metrics}");
}

#[tokio::test]
async fn a_hundred_bad_items_are_named_and_the_rest_counted() {
    let edge = Running::start().await;
    let mut items: Vec<Value> = (0..250).map(|number| bad_event(&number.to_string())).collect();
    items.insert(0, event("good"));
    let reply = edge.post(&[], Value::from(items).to_string()).await.json();
    assert_eq!((&reply["rejected"], &reply["errorsTruncated"]), (&json!(250), &json!(true)));
    let indexes: Vec<u64> =
        reply["errors"].as_array().unwrap().iter().map(|error| error["index"].as_u64().unwrap()).collect();
    assert_eq!(indexes, (1..=100).collect::<Vec<u64>>());
}

#[tokio::test]
async fn fifty_thousand_events_go_to_ingest_in_bounded_calls() {
    let edge = Running::start().await;
    let mut items: Vec<Value> = (0..50_000).map(|number| event(&format!("event-{number}"))).collect();
    items.push(bad_event("tail"));
    let reply = edge.post(&[], Value::from(items).to_string()).await.json();
    assert_eq!((&reply["accepted"], &reply["rejected"]), (&json!(50_000), &json!(1)));
    assert_eq!(reply["errors"][0]["index"], json!(50_000));
    let calls: Vec<usize> =
        edge.script(|script| script.calls.iter().map(|(_, call)| call.items.len()).collect());
    assert_eq!(calls.iter().sum::<usize>(), 50_001);
    assert!(calls.iter().all(|items| *items <= 1000), "{calls:?}");
    let metrics = edge.get("/metrics").await.text;
    assert!(metrics.contains(r#"events_accepted_total{service="edge",source="tiktok"} 50000"#), "{metrics}");
    assert!(metrics.contains("weir_edge_body_bytes_in_flight 0"), "{metrics}");
}

#[tokio::test]
async fn every_item_has_the_origin_of_its_request() {
    let edge = Running::start().await;
    let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let headers = [("x-request-id", "req-1"), ("traceparent", traceparent), ("tracestate", "a=b")];
    edge.post(&headers, event("a").to_string()).await;
    let (context, call) = edge.script(|script| script.calls.remove(0));
    let origin = call.origin.unwrap();
    assert_eq!((context.correlation_id.as_str(), origin.correlation_id.as_str()), ("req-1", "req-1"));
    assert_eq!((origin.traceparent.as_str(), origin.tracestate.as_str()), (traceparent, "a=b"));
    assert!(origin.arrived_at.is_some());
}

#[tokio::test]
async fn strange_items_are_bad_items_and_the_others_stay_good() {
    let edge = Running::start().await;
    let nested = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let strange = [
        nested.clone(),
        format!(r#"{{"data":{nested}}}"#),
        format!(r#"{{"eventId":{nested},"source":"tiktok"}}"#),
        format!(r#"{{"data":{{"user":{nested}}}}}"#),
        r#"{"eventId":"\ud800"}"#.into(),
        r#"{"eventId":"\u0000"}"#.into(),
        r#"{"eventId":"a","eventId":"b"}"#.into(),
        "1e400".into(),
        "18446744073709551616".into(),
    ];
    let body = format!("[{},{}]", event("good"), strange.join(","));
    let reply = edge.post(&[], body).await.json();
    assert_eq!((&reply["accepted"], &reply["rejected"]), (&json!(1), &json!(strange.len())), "{reply}");
    let mut unknown = event("deep");
    unknown["unknown"] = json!("NESTED");
    let reply = edge.post(&[], unknown.to_string().replace("\"NESTED\"", &nested)).await.json();
    assert_eq!(reply["accepted"], json!(1), "{reply}");
}
