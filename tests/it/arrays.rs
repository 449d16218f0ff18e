//! Arrays as the reference publisher sends them: large, repeated, overlapping.

use futures::future::join_all;
use serde_json::{Value, json};
use weir_testkit::{Weir, events::Sender};

use crate::{
    model::{Model, Query},
    reports::expect_reports,
};

on_files_and_on_servers!(
    a_large_array_with_one_bad_event_at_its_end_loses_only_that_one,
    the_same_array_twice_changes_no_report,
    ten_overlapping_arrays_are_counted_once_each,
);

async fn a_large_array_with_one_bad_event_at_its_end_loses_only_that_one(mut weir: Weir) {
    const GOOD: usize = 50_000;
    let mut events = Sender::new("large", 1).events(GOOD);
    let mut model = Model::default();
    model.accept(&events);
    let mut bad = events[0].clone();
    bad["eventId"] = json!("the-bad-one");
    bad["timestamp"] = json!("invalid-timestamp");
    events.push(bad);

    let answer = weir.post(&json!(events)).await;

    answer.expect_accepted(GOOD, 1);
    assert_eq!(answer.body["errors"][0]["eventId"], "the-bad-one");
    assert_eq!(answer.pointers(GOOD), ["/timestamp"]);
    weir.drained(GOOD).await;
    expect_reports(&weir, &model, &Query::default()).await;
    let letters = weir.rejected().await;
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].letter.event_id.as_deref(), Some("the-bad-one"));
}

async fn the_same_array_twice_changes_no_report(weir: Weir) {
    let events = Sender::new("twice", 2).events(3_000);
    let mut model = Model::default();
    model.accept(&events);
    for time in 1..=2 {
        weir.post(&json!(events)).await.expect_accepted(events.len(), 0);
        weir.drained(time * events.len()).await;
        expect_reports(&weir, &model, &Query::default()).await;
    }
    assert_eq!(weir.metric("events_duplicate_total", &[]).await, events.len() as f64);
}

async fn ten_overlapping_arrays_are_counted_once_each(weir: Weir) {
    let mut sender = Sender::new("overlapping", 3);
    let arrays: Vec<Vec<Value>> = (0..10).map(|_| sender.events(1_000)).collect();
    let mut model = Model::default();
    arrays.iter().for_each(|array| model.accept(array));
    // Each array repeats the end of the one before it, so that the same identities arrive at the same time.
    let sent: Vec<Value> = arrays
        .iter()
        .enumerate()
        .map(|(index, array)| json!([&arrays[(index + 9) % 10][900..], array].concat()))
        .collect();

    let answers = join_all(sent.iter().map(|array| weir.post(array))).await;

    answers.iter().for_each(|answer| answer.expect_accepted(1_100, 0));
    weir.drained(11_000).await;
    expect_reports(&weir, &model, &Query::default()).await;
}
