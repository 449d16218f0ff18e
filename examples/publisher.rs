//! A publisher on the generated client: sends one purchase to ingest and prints the outcome.
//!
//! ```sh
//! cargo run --release -- up
//! cargo run --example publisher -- http://127.0.0.1:50051 tt-example-1
//! ```
//!
//! A client in another language generates the same types from `proto/`.

#![expect(clippy::print_stdout, reason = "an example shows its result")]

use std::{
    env,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, ensure};
use prost::Message as _;
use prost_types::Timestamp;
use tonic::Request;
use weir::contract::{
    event::v1::{
        Event, TiktokBottom, TiktokBottomEventType, TiktokEvent, TiktokUser, event::Source,
        tiktok_event::Engagement,
    },
    ingest::v1::{
        Item, Outcome, PublishEventsRequest, ingest_service_client::IngestServiceClient, item::Content,
    },
};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = env::args().skip(1);
    let ingest = arguments.next().unwrap_or_else(|| "http://127.0.0.1:50051".to_owned());
    let event_id = arguments.next().unwrap_or_else(|| "tt-example-1".to_owned());

    let mut client = IngestServiceClient::connect(ingest.clone()).await.context(ingest)?;
    let mut request = Request::new(PublishEventsRequest {
        items: vec![item(&purchase(event_id)?)],
        // A repetition after a lost answer carries the same id: then Weir does not count its events as duplicates.
        publish_id: "publisher-example-1".to_owned(),
        ..PublishEventsRequest::default()
    });
    // Logs, spans, frames and rows carry it.
    request.metadata_mut().insert("x-correlation-id", "publisher-example".parse()?);

    // OK means that every item is durable: a good one in the journal, a bad one as a dead letter.
    let results = client.publish_events(request).await?.into_inner().results;
    for result in &results {
        println!("{}", result.outcome().as_str_name());
        for violation in &result.violations {
            println!("  {} {}", violation.pointer, violation.message);
        }
    }
    ensure!(results.iter().all(|result| result.outcome() == Outcome::Accepted), "an item was rejected");
    Ok(())
}

/// The event in its encoded form: this package's types pass events on as bytes, and on the wire both are the same.
fn item(event: &Event) -> Item {
    Item { content: Some(Content::Event(event.encode_to_vec().into())), ..Item::default() }
}

fn purchase(event_id: String) -> anyhow::Result<Event> {
    let now = Some(now()?);
    let user = TiktokUser { user_id: "u-example".to_owned(), username: "Zoë".to_owned(), followers: 1_204 };
    let bottom = TiktokBottom {
        event_type: TiktokBottomEventType::Purchase.into(),
        action_time: now,
        profile_id: None,
        purchased_item: Some("Granite Lamp".to_owned()),
        // A decimal string: money never becomes a float.
        purchase_amount: Some("318.49".to_owned()),
    };
    let tiktok = TiktokEvent { user: Some(user), engagement: Some(Engagement::Bottom(bottom)) };
    Ok(Event { event_id, timestamp: now, source: Some(Source::Tiktok(tiktok)) })
}

fn now() -> anyhow::Result<Timestamp> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH)?;
    Ok(Timestamp { seconds: i64::try_from(since.as_secs())?, nanos: 0 })
}
