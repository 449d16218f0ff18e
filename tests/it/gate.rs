//! The gate over HTTP: valid events are counted, and invalid items are reported rule by rule and become dead letters.

use reqwest::StatusCode;
use serde_json::{Value, json};
use weir_journal::StoredDeadLetter;
use weir_testkit::{
    Weir,
    events::{InvalidItem, invalid_items, valid_events},
};

use crate::{
    model::{Model, Query},
    reports::expect_reports,
};

on_files_and_on_servers!(
    every_valid_event_is_accepted_and_counted,
    every_invalid_item_is_rejected_with_exactly_its_pointers_and_is_in_rejected,
    good_items_are_accepted_although_others_are_bad,
);

async fn every_valid_event_is_accepted_and_counted(weir: Weir) {
    let events = valid_events();
    weir.post(&json!(events)).await.expect_accepted(events.len(), 0);
    weir.drained(events.len()).await;
    let mut model = Model::default();
    model.accept(&events);
    expect_reports(&weir, &model, &Query::default()).await;
}

async fn every_invalid_item_is_rejected_with_exactly_its_pointers_and_is_in_rejected(mut weir: Weir) {
    let invalid = invalid_items();
    let items: Vec<_> = invalid.iter().map(|invalid| &invalid.item).collect();
    let request = weir.request("/events").header("x-correlation-id", "all-bad").json(&items);
    let answer = weir.send(request).await;
    answer.expect_problem(StatusCode::BAD_REQUEST);
    for (index, InvalidItem { case, pointers, .. }) in invalid.iter().enumerate() {
        assert_eq!(&answer.pointers(index), pointers, "{case}");
    }
    let letters = weir.rejected().await;
    assert_eq!(letters.len(), invalid.len());
    for InvalidItem { case, pointers, item } in &invalid {
        let found = letters.iter().find(|letter| raw(letter) == *item);
        let letter = found.unwrap_or_else(|| panic!("no dead letter for {case}"));
        let mut reported: Vec<_> =
            letter.letter.violations.iter().map(|violation| &violation.pointer).collect();
        reported.sort();
        assert_eq!(reported, pointers.iter().collect::<Vec<_>>(), "{case}");
        assert_eq!(letter.letter.origin.correlation_id.to_string(), "all-bad", "{case}");
    }
}

async fn good_items_are_accepted_although_others_are_bad(mut weir: Weir) {
    let mut items = valid_events();
    let good = items.len();
    for (place, invalid) in invalid_items().into_iter().enumerate() {
        items.insert(2 * place % items.len(), invalid.item);
    }
    let answer = weir.post(&json!(items)).await;
    answer.expect_accepted(good, items.len() - good);
    let indexes: Vec<_> =
        answer.body["errors"].as_array().into_iter().flatten().map(|e| &e["index"]).collect();
    assert!(indexes.is_sorted_by_key(|index| index.as_u64()), "{indexes:?}");
    weir.drained(good).await;
    assert_eq!(weir.reported_events().await, good as u64);
    assert_eq!(weir.rejected().await.len(), items.len() - good);
}

fn raw(letter: &StoredDeadLetter) -> Value {
    serde_json::from_slice(&letter.letter.raw).expect("the raw bytes of a webhook's item are JSON")
}
