//! Links between traces: batches, redelivered frames, and callers that are not trusted.

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use prost::Message as _;
use weir::contract::{
    event::v1::{self as event, Origin},
    ingest::v1::{Item, PublishEventsRequest, ingest_service_client::IngestServiceClient, item::Content},
};
use weir_event::Source;
use weir_testkit::{
    Storage, TraceCollector, Weir,
    events::{Sender, admit, with_id},
    eventually,
    trace_collector::Span,
};

use super::trail::{CALLER_SPAN, CALLER_TRACE, Trail, post_in_trace};

#[tokio::test(flavor = "multi_thread")]
async fn every_frame_of_a_large_webhook_is_part_of_its_trace() {
    let collector = TraceCollector::start().await;
    let weir = Weir::fleet_with(Storage::servers().await, collector.settings()).await;
    post_in_trace(&weir, &Sender::new("large", 22).events(3_000), "large").await;
    weir.drained(3_000).await;
    let of_trace = |span: &Span, prefix: &str| span.trace == CALLER_TRACE && span.name.starts_with(prefix);
    let spans = eventually(async || {
        let spans = collector.spans();
        let sent = spans.iter().filter(|span| of_trace(span, "send ")).map(frames).sum::<usize>();
        let processed = spans.iter().filter(|span| of_trace(span, "process ")).count();
        if sent > 6 && sent == processed { Ok(spans) } else { Err((sent, processed)) }
    })
    .await;
    for processed in spans.iter().filter(|span| of_trace(span, "process ")) {
        let sent = spans.iter().find(|sent| processed.is_child_of(sent)).expect("its producer");
        assert!(of_trace(sent, "send ") && sent.kind == SpanKind::Producer, "{sent:?}");
        let received = spans.iter().find(|received| processed.links_to(received)).expect("its batch");
        assert!(received.name.starts_with("receive ") && received.links_to(sent), "{received:?}");
    }
    let received: usize = spans.iter().filter(|span| span.name.starts_with("receive ")).map(frames).sum();
    assert_eq!(received, spans.iter().filter(|span| of_trace(span, "process ")).count());
}

fn frames(span: &Span) -> usize {
    span.attribute("messaging.batch.message_count").parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_several_callers_in_one_call_stay_in_their_own_traces() {
    let collector = TraceCollector::start().await;
    let weir = Weir::up_with(Storage::Files, collector.settings()).await;
    let traces = ["1", "2", "3"].map(|digit| digit.repeat(32));
    let items = traces.iter().map(|trace| item_of(trace)).collect();
    let mut client = IngestServiceClient::connect(format!("http://{}", weir.addresses.ingest)).await.unwrap();
    client.publish_events(PublishEventsRequest { items, ..PublishEventsRequest::default() }).await.unwrap();
    let sent = collector.find(|span| span.name == "send events.facebook").await;
    assert_eq!((sent.kind, sent.links.len()), (SpanKind::Client, 3), "{sent:?}");
    let received = collector.find(|span| span.name == "receive events.facebook").await;
    let stored = collector.find(|span| span.name == "BATCH INSERT events").await;
    assert!(stored.is_child_of(&received), "{stored:?}");
    for trace in &traces {
        let of_trace =
            |name: &'static str| collector.find(move |span| span.name == name && span.trace == *trace);
        let created = of_trace("create events.facebook").await;
        assert_eq!((created.kind, created.parent.as_str()), (SpanKind::Producer, CALLER_SPAN));
        assert!(sent.links_to(&created) && received.links_to(&created), "{sent:?} {received:?}");
        let processed = of_trace("process events.facebook").await;
        assert!(processed.is_child_of(&created) && stored.links_to(&processed), "{processed:?} {stored:?}");
        assert_eq!(processed.attribute("weir.correlation_id"), trace);
    }
}

/// An event whose caller's trace is also its id and its correlation id.
fn item_of(trace: &str) -> Item {
    let origin = Origin {
        correlation_id: trace.to_owned(),
        traceparent: format!("00-{trace}-{CALLER_SPAN}-01"),
        ..Origin::default()
    };
    let event = event::Event::from(admit(&with_id(Source::Facebook, trace)));
    Item { content: Some(Content::Event(event.encode_to_vec().into())), origin: Some(origin), repeats: 0 }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_that_is_delivered_again_is_linked_to_its_trace() {
    let collector = TraceCollector::start().await;
    let mut settings = collector.settings();
    settings.push(("JOURNAL_ACK_WAIT_MS", "2000".to_owned()));
    let mut weir = Weir::fleet_with(Storage::servers().await, settings).await;
    weir.kill("collect-facebook-too").await;
    weir.kill("collect-facebook").await;
    weir.start_process_with("collect-facebook", &[("WEIR_FAILPOINT", "collector-before-ack")]);
    post_in_trace(&weir, &[with_id(Source::Facebook, "again")], "again").await;
    weir.exit_of("collect-facebook").await;
    weir.start_process("collect-facebook");
    let sent = collector.find(|span| span.name == "send events.facebook").await;
    let is_again = |span: &Span| {
        span.name == "process events.facebook" && span.attribute("weir.delivery.attempt") == "2"
    };
    let processed = collector.find(is_again).await;
    assert!(processed.trace != CALLER_TRACE && processed.links_to(&sent), "{processed:?}");
    let received = collector.find(|span| processed.is_child_of(span)).await;
    assert!(received.name == "receive events.facebook" && received.links_to(&sent), "{received:?}");
    assert_eq!(processed.attribute("weir.correlation_id"), "again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_is_not_trusted_is_linked() {
    let collector = TraceCollector::start().await;
    let mut settings = collector.settings();
    settings.push(("EDGE_TRACE_TRUST", "link".to_owned()));
    let weir = Weir::up_with(Storage::Files, settings).await;
    post_in_trace(&weir, &[with_id(Source::Facebook, "linked")], "linked").await;
    let trail = Trail::find(&collector, "linked").await;
    assert!(trail.webhook.parent.is_empty(), "{:?}", trail.webhook);
    assert_eq!(trail.webhook.links, [(CALLER_TRACE.to_owned(), CALLER_SPAN.to_owned())]);
    assert!(trail.spans().iter().all(|span| span.trace == trail.webhook.trace && span.trace != CALLER_TRACE));
    let found = weir.get("/events/facebook/linked").await;
    assert_eq!(found.body["stored"]["traceId"], trail.webhook.trace, "{found:?}");
}
