//! Concurrent small posts share calls to ingest, and each gets the response that it would get alone.

use std::{collections::HashSet, sync::Arc};

use futures::future::join_all;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use weir::contract::ingest::v1::{Item, PublishEventsRequest};
use weir_process::{CallContext, Reason};

use super::fake::{Answer, Running, bad_event, event};

/// The number of concurrent posts.
const CROWD: usize = 32;
/// The most crowds before two posts of one must have shared a call.
const MAX_CROWDS: usize = 100;

/// Posts items concurrently, each under its own correlation id.
async fn crowd(edge: &Running, items: &[(String, Value)]) -> Vec<Answer> {
    let post =
        async |(id, item): &(String, Value)| edge.post(&[("x-correlation-id", id)], item.to_string()).await;
    join_all(items.iter().map(post)).await
}

/// Good and bad items in turn, each with an id of its own.
fn items(crowd: usize) -> Vec<(String, Value)> {
    let ids = (0..CROWD).map(|number| format!("{crowd}-{number}"));
    let item = |(number, id): (usize, String)| {
        let item = if number % 4 == 3 { bad_event(&id) } else { event(&id) };
        (id, item)
    };
    ids.enumerate().map(item).collect()
}

fn correlation_id(item: &Item) -> &str {
    item.origin.as_ref().map_or("", |origin| &origin.correlation_id)
}

/// Posts crowds until posts share a call. Returns the shared calls.
async fn until_coalesced(edge: &Running) -> Vec<(CallContext, PublishEventsRequest)> {
    for number in 0..MAX_CROWDS {
        let items = items(number);
        for ((id, item), answer) in items.iter().zip(crowd(edge, &items).await) {
            assert_own(id, item, &answer);
        }
        let mut calls = edge.script(|script| std::mem::take(&mut script.calls));
        let sent: usize = calls.iter().map(|(_, call)| call.items.len()).sum();
        assert!(sent >= CROWD, "{sent}");
        calls.retain(|(_, call)| call.items.len() > 1);
        if !calls.is_empty() {
            return calls;
        }
    }
    panic!("concurrent posts never shared a call");
}

fn assert_own(id: &str, item: &Value, answer: &Answer) {
    assert_eq!(answer.header("x-correlation-id"), Some(id));
    if item["timestamp"] == "invalid-timestamp" {
        let problem = answer.assert_problem(400);
        assert_eq!(
            (&problem["errors"][0]["eventId"], &problem["errors"][0]["index"]),
            (&json!(id), &json!(0))
        );
    } else {
        let reply = json!({"accepted": 1, "rejected": 0, "correlationId": id, "errors": []});
        assert_eq!((answer.status, answer.json()), (202, reply));
    }
}

#[tokio::test]
async fn concurrent_posts_share_a_call_and_each_gets_its_own_results() {
    let edge = Running::start().await;
    for (context, call) in until_coalesced(&edge).await {
        let ids: HashSet<&str> = call.items.iter().map(correlation_id).collect();
        assert_eq!(ids.len(), call.items.len(), "every item names its own origin: {call:?}");
        assert!(!ids.contains("") && !ids.contains(context.correlation_id.as_str()), "{context:?}");
        assert!(call.items.iter().all(|item| item.origin.as_ref().unwrap().arrived_at.is_some()));
    }
}

#[tokio::test]
async fn a_shared_call_whose_response_was_lost_is_repeated_unchanged() {
    let edge = Running::start().await;
    for _ in 0..MAX_CROWDS {
        edge.script(|script| script.losses = 1);
        let calls = until_coalesced(&edge).await;
        for (number, call) in calls.iter().enumerate() {
            let again = calls[number + 1..].iter().find(|again| again.1.publish_id == call.1.publish_id);
            if let Some(again) = again {
                assert_eq!(again, call);
                return;
            }
        }
    }
    panic!("no shared call lost its response");
}

#[tokio::test]
async fn a_rejected_shared_call_is_a_problem_for_each_post() {
    let edge = Running::start().await;
    edge.script(|script| script.refusal = Some(Reason::JournalFull));
    for number in 0..MAX_CROWDS {
        let items = items(number);
        for ((id, _), answer) in items.iter().zip(crowd(&edge, &items).await) {
            let problem = answer.assert_problem(503);
            assert_eq!((&problem["reason"], &problem["correlationId"]), (&json!("JOURNAL_FULL"), &json!(id)));
        }
        if edge.script(|script| script.calls.iter().any(|(_, call)| call.items.len() > 1)) {
            return;
        }
    }
    panic!("concurrent posts never shared a call");
}

#[tokio::test]
async fn a_caller_that_disconnects_does_not_fail_the_other_posts() {
    let edge = Running::start().await;
    let permits = Arc::new(Semaphore::new(0));
    edge.script(|script| script.permits = Some(Arc::clone(&permits)));
    let mut posts: Vec<_> = (0..CROWD)
        .map(|number| {
            let request = edge.client.post(edge.url("/events")).body(event(&number.to_string()).to_string());
            tokio::spawn(request.send())
        })
        .collect();
    while edge.sent().len() < CROWD / 2 {
        tokio::task::yield_now().await;
    }
    for post in posts.drain(..4) {
        post.abort();
    }
    permits.add_permits(Semaphore::MAX_PERMITS);
    for post in posts {
        assert_eq!(post.await.unwrap().unwrap().status(), 202);
    }
}

#[tokio::test]
async fn a_small_array_shares_a_call_and_gets_results_for_all_its_items() {
    let edge = Running::start().await;
    for number in 0..MAX_CROWDS {
        let arrays: Vec<(String, Value)> = (0..CROWD)
            .map(|array| {
                let id = |place: &str| format!("{number}-{array}-{place}");
                (id("array"), json!([event(&id("a")), bad_event(&id("b")), event(&id("a")), event(&id("c"))]))
            })
            .collect();
        for ((id, array), answer) in arrays.iter().zip(crowd(&edge, &arrays).await) {
            let reply = answer.json();
            assert_eq!((answer.status, &reply["accepted"], &reply["rejected"]), (202, &json!(3), &json!(1)));
            assert_eq!((&reply["correlationId"], &reply["errors"][0]["index"]), (&json!(id), &json!(1)));
            assert_eq!(reply["errors"][0]["eventId"], array[1]["eventId"]);
        }
        if edge.script(|script| script.calls.iter().any(|(_, call)| call.items.len() > 3)) {
            return;
        }
    }
    panic!("concurrent arrays never shared a call");
}
