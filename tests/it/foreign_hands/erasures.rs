//! Erasures on subjects of their own, and erasures that an earlier build sent among the events.

use async_nats::jetstream::message::StreamMessage;
use serde_json::Value;
use weir_event::Source;
use weir_testkit::{Weir, database::stored_events, events::with_id, eventually};

const ADA: &str = "u-ada-lovelace";

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_travels_on_a_subject_of_its_own_and_is_carried_out() {
    let weir = Weir::on_servers().await;
    post_of_ada(&weir).await;
    let order = erase_ada(&weir).await;
    assert_eq!(order.subject.as_str(), "erasures.facebook");
    expect_anonymous(&weir).await;
    weir.expect_all_accounted().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_among_the_events_as_an_earlier_build_sent_it_is_carried_out() {
    let [earlier, now] = [Weir::on_servers().await, Weir::on_servers().await];
    for weir in [&earlier, &now] {
        post_of_ada(weir).await;
    }
    let order = erase_ada(&earlier).await;
    let mut headers = order.headers.clone();
    headers.insert(async_nats::header::NATS_MESSAGE_ID, "of an earlier build");
    let operator = now.operator().await;
    let sent = operator.context.publish_with_headers("events.facebook", headers, order.payload).await;
    sent.unwrap().await.unwrap();
    expect_anonymous(&now).await;
    now.expect_all_accounted().await;
}

/// Posts an event of Ada, and waits until it is processed.
async fn post_of_ada(weir: &Weir) {
    let mut event = with_id(Source::Facebook, "of-ada");
    event["data"]["user"]["userId"] = ADA.into();
    weir.post(&event).await.expect_accepted(1, 0);
    weir.drained(1).await;
}

/// Erases Ada, and returns the message of the erasure.
async fn erase_ada(weir: &Weir) -> StreamMessage {
    let (status, output) = weir.run(&["erase", "facebook", ADA, "--json"], &[]).await;
    assert!(status.success(), "{output}");
    let receipt: Value = serde_json::from_str(&output).unwrap_or_else(|error| panic!("{error} in {output}"));
    assert_eq!(receipt["rows"], 1, "{receipt}");
    let events = weir.operator().await.context.get_stream("EVENTS").await.unwrap();
    let order = events.get_last_raw_message_by_subject("erasures.facebook").await;
    order.unwrap_or_else(|error| panic!("no erasure on erasures.facebook: {error}"))
}

/// Waits until the only row names no user.
async fn expect_anonymous(weir: &Weir) {
    let store = weir.store().await;
    eventually(async || {
        let persons: Vec<_> = stored_events(&store).await.into_iter().map(|row| row.user_id).collect();
        if persons == [""] { Ok(()) } else { Err(persons) }
    })
    .await;
}
