//! Small posts that come at once go to ingest together, and nobody notices but ingest.

use std::{collections::HashSet, sync::Arc};

use futures::future::join_all;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use weir::contract::ingest::v1::{Item, PublishEventsRequest};
use weir_process::{CallContext, Reason};

use super::fake::{Answer, Running, bad_event, event};

/// Of posts that are made at once.
const CROWD: usize = 32;
/// Crowds that may come without two posts of one having met.
const MOST_CROWDS: usize = 100;

/// Posts items at once, each under its own correlation id.
async fn crowd(edge: &Running, items: &[(String, Value)]) -> Vec<Answer> {
    let post =
        async |(id, item): &(String, Value)| edge.post(&[("x-correlation-id", id)], item.to_string()).await;
    join_all(items.iter().map(post)).await
}

/// Good and bad items in turn, every one with an id of its own.
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

/// Crowds post until a call of several was made; returns those.
async fn until_gathered(edge: &Running) -> Vec<(CallContext, PublishEventsRequest)> {
    for number in 0..MOST_CROWDS {
        let items = items(number);
        for ((id, item), answer) in items.iter().zip(crowd(edge, &items).await) {
            expect_own(id, item, &answer);
        }
        let mut calls = edge.script(|script| std::mem::take(&mut script.calls));
        let sent: usize = calls.iter().map(|(_, call)| call.items.len()).sum();
        assert!(sent >= CROWD, "{sent}");
        calls.retain(|(_, call)| call.items.len() > 1);
        if !calls.is_empty() {
            return calls;
        }
    }
    panic!("posts that were made at once never went together");
}

fn expect_own(id: &str, item: &Value, answer: &Answer) {
    assert_eq!(answer.header("x-correlation-id"), Some(id));
    if item["timestamp"] == "invalid-timestamp" {
        let problem = answer.assert_problem(400);
        assert_eq!(
            (&problem["errors"][0]["eventId"], &problem["errors"][0]["index"]),
            (&json!(id), &json!(0))
        );
    } else {
        let told = json!({"accepted": 1, "rejected": 0, "correlationId": id, "errors": []});
        assert_eq!((answer.status, answer.json()), (202, told));
    }
}

#[tokio::test]
async fn posts_that_come_at_once_go_together_and_each_hears_of_its_own() {
    let edge = Running::start().await;
    for (context, call) in until_gathered(&edge).await {
        let ids: HashSet<&str> = call.items.iter().map(correlation_id).collect();
        assert_eq!(ids.len(), call.items.len(), "every item names its own origin: {call:?}");
        assert!(!ids.contains("") && !ids.contains(context.correlation_id.as_str()), "{context:?}");
        assert!(call.items.iter().all(|item| item.origin.as_ref().unwrap().arrived_at.is_some()));
    }
}

#[tokio::test]
async fn a_call_of_several_whose_answer_was_lost_is_made_again_as_it_was() {
    let edge = Running::start().await;
    for _ in 0..MOST_CROWDS {
        edge.script(|script| script.losses = 1);
        let calls = until_gathered(&edge).await;
        for (number, call) in calls.iter().enumerate() {
            let again = calls[number + 1..].iter().find(|again| again.1.publish_id == call.1.publish_id);
            if let Some(again) = again {
                assert_eq!(again, call);
                return;
            }
        }
    }
    panic!("no call of several lost its answer");
}

#[tokio::test]
async fn what_ingest_refuses_of_several_is_refused_to_each() {
    let edge = Running::start().await;
    edge.script(|script| script.refusal = Some(Reason::JournalFull));
    for number in 0..MOST_CROWDS {
        let items = items(number);
        for ((id, _), answer) in items.iter().zip(crowd(&edge, &items).await) {
            let problem = answer.assert_problem(503);
            assert_eq!((&problem["reason"], &problem["correlationId"]), (&json!("JOURNAL_FULL"), &json!(id)));
        }
        if edge.script(|script| script.calls.iter().any(|(_, call)| call.items.len() > 1)) {
            return;
        }
    }
    panic!("posts that were made at once never went together");
}

#[tokio::test]
async fn one_that_goes_away_harms_no_other() {
    let edge = Running::start().await;
    let turns = Arc::new(Semaphore::new(0));
    edge.script(|script| script.turns = Some(Arc::clone(&turns)));
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
    turns.add_permits(Semaphore::MAX_PERMITS);
    for post in posts {
        assert_eq!(post.await.unwrap().unwrap().status(), 202);
    }
}

#[tokio::test]
async fn a_small_array_goes_with_others_and_hears_of_all_its_items() {
    let edge = Running::start().await;
    for number in 0..MOST_CROWDS {
        let arrays: Vec<(String, Value)> = (0..CROWD)
            .map(|array| {
                let id = |place: &str| format!("{number}-{array}-{place}");
                (id("array"), json!([event(&id("a")), bad_event(&id("b")), event(&id("a")), event(&id("c"))]))
            })
            .collect();
        for ((id, array), answer) in arrays.iter().zip(crowd(&edge, &arrays).await) {
            let told = answer.json();
            assert_eq!((answer.status, &told["accepted"], &told["rejected"]), (202, &json!(3), &json!(1)));
            assert_eq!((&told["correlationId"], &told["errors"][0]["index"]), (&json!(id), &json!(1)));
            assert_eq!(told["errors"][0]["eventId"], array[1]["eventId"]);
        }
        if edge.script(|script| script.calls.iter().any(|(_, call)| call.items.len() > 3)) {
            return;
        }
    }
    panic!("arrays that were posted at once never went together");
}
