//! Event lookup: the answer from two services, of which one may be unavailable.

use serde_json::json;
use weir::contract::{
    event::v1::Violation,
    ingest::v1::{
        FindEventResponse as Journal,
        find_event_response::{Kind, Letter},
    },
    reporting::v1::{FindEventResponse as Store, RemovedEvent, StoredEvent},
};

use super::fake::{Running, config};

fn letter(kind: Kind) -> Letter {
    Letter {
        kind: kind.into(),
        buried_at: Some(prost_types::Timestamp { seconds: 1_757_834_505, nanos: 0 }),
        correlation_id: "c".into(),
        violations: vec![Violation { pointer: "/timestamp".into(), message: "is no date-time".into() }],
    }
}

async fn edge_with(journal: Option<Journal>, store: Option<Store>) -> Running {
    let edge = Running::start().await;
    edge.script(|script| (script.journal, script.store) = (journal, store));
    edge
}

fn buried(kinds: &[Kind]) -> Journal {
    Journal { letters: kinds.iter().copied().map(letter).collect(), waiting_frames: 3 }
}

fn stored() -> Store {
    let at = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
    Store {
        stored: Some(StoredEvent {
            arrived_at: at(1_757_834_505),
            stored_at: at(1_757_834_506),
            correlation_id: "c".into(),
            trace_id: "4bf92f3577b34da6a3ce929d0e0e4736".into(),
            frame_id: "f".into(),
            duplicates: 2,
        }),
        removed: None,
    }
}

#[tokio::test]
async fn a_stored_event_is_reported_with_its_dead_letters() {
    let edge = edge_with(Some(buried(&[Kind::Rejected, Kind::Parked])), Some(stored())).await;
    let answer = edge.get("/events/facebook/fb-1").await;
    let letter = |kind: &str| {
        json!({"kind": kind, "at": "2025-09-14T07:21:45Z", "correlationId": "c",
               "violations": [{"pointer": "/timestamp", "message": "is no date-time"}]})
    };
    let expected = json!({
        "source": "facebook", "eventId": "fb-1", "status": "stored", "waitingFrames": 3,
        "stored": {"storedAt": "2025-09-14T07:21:46Z", "arrivedAt": "2025-09-14T07:21:45Z", "correlationId": "c",
                   "traceId": "4bf92f3577b34da6a3ce929d0e0e4736", "duplicates": 2},
        "deadLetters": [letter("rejected"), letter("parked")],
    });
    assert_eq!((answer.status, answer.json()), (200, expected));
}

#[tokio::test]
async fn an_event_whose_row_was_removed_is_reported_with_its_arrival_and_its_dead_letters() {
    let arrived_at = Some(prost_types::Timestamp { seconds: 1_757_834_505, nanos: 0 });
    let removed = Store { stored: None, removed: Some(RemovedEvent { arrived_at }) };
    let edge = edge_with(Some(buried(&[Kind::Rejected])), Some(removed)).await;
    let answer = edge.get("/events/facebook/fb-1").await;
    let letter = json!({"kind": "rejected", "at": "2025-09-14T07:21:45Z", "correlationId": "c",
                        "violations": [{"pointer": "/timestamp", "message": "is no date-time"}]});
    let expected = json!({
        "source": "facebook", "eventId": "fb-1", "status": "removed", "waitingFrames": 3,
        "removed": {"arrivedAt": "2025-09-14T07:21:45Z"}, "deadLetters": [letter],
    });
    assert_eq!((answer.status, answer.json()), (200, expected));
}

#[tokio::test]
async fn an_id_reaches_both_services_decoded_and_ingest_first() {
    let edge = edge_with(Some(Journal::default()), Some(Store::default())).await;
    edge.get("/events/tiktok/a%2Fb%20c%3F%25%C3%A9%F0%9F%92%A9+").await;
    let id = "a/b c?%é💩+".to_owned();
    let expected = [("ingest", 2, id.clone()), ("reporting", 2, id)];
    assert_eq!(edge.script(|script| script.lookups.clone()), expected);
}

#[tokio::test]
async fn an_unknown_event_is_a_404_with_the_number_of_waiting_frames() {
    let edge = edge_with(Some(buried(&[])), Some(Store::default())).await;
    let answer = edge.get("/events/tiktok/a").await;
    let expected = json!({"source": "tiktok", "eventId": "a", "status": "unknown", "deadLetters": [],
                          "waitingFrames": 3});
    assert_eq!((answer.status, answer.json()), (404, expected));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert!(answer.header("x-correlation-id").is_some());
}

#[tokio::test]
async fn an_event_in_one_service_is_reported_while_the_other_is_unavailable() {
    let edge = edge_with(None, Some(stored())).await;
    let answer = edge.get("/events/facebook/a").await;
    let reply = answer.json();
    assert_eq!((answer.status, &reply["status"]), (200, &json!("stored")));
    assert_eq!(reply["unavailable"], json!(["ingest"]));
    assert!(reply.get("deadLetters").is_none() && reply.get("waitingFrames").is_none(), "{reply}");

    edge.script(|script| (script.journal, script.store) = (Some(buried(&[Kind::Parked])), None));
    let answer = edge.get("/events/facebook/a").await;
    let reply = answer.json();
    assert_eq!((answer.status, &reply["status"]), (200, &json!("deadLetter")));
    assert_eq!(reply["unavailable"], json!(["reporting"]));
    assert!(reply.get("stored").is_none(), "{reply}");
}

#[tokio::test]
async fn an_event_is_not_called_unknown_while_a_service_is_unavailable() {
    let edge = edge_with(None, Some(Store::default())).await;
    let problem = edge.get("/events/facebook/a").await.assert_problem(503);
    assert_eq!(problem["reason"], json!("JOURNAL_UNAVAILABLE"));

    edge.script(|script| (script.journal, script.store) = (Some(Journal::default()), None));
    let problem = edge.get("/events/facebook/a").await.assert_problem(503);
    assert_eq!(problem["reason"], json!("STORE_UNAVAILABLE"));

    let edge = Running::start_alone(config()).await;
    let answer = edge.get("/events/facebook/a").await;
    answer.assert_problem(503);
    assert!(answer.header("retry-after").is_some());
}

#[tokio::test]
async fn an_invalid_path_names_the_parameter() {
    let edge = Running::start().await;
    for (path, parameter) in [("/events/meta/a", "source"), ("/events/facebook/%FF", "eventId")] {
        let problem = edge.get(path).await.assert_problem(400);
        assert_eq!(problem["violations"][0]["parameter"], json!(parameter), "{path}");
    }
    edge.get("/events/facebook/").await.assert_problem(404);
    edge.get("/events/facebook").await.assert_problem(404);
    assert!(edge.script(|script| script.lookups.is_empty()));
}
