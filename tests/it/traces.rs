//! One webhook, one trace, over every hop to the committed row.

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::{
    harness::{Ground, TraceCollector, Weir, trace_collector::Span},
    sender::Sender,
};

const CALLER_TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER_SPAN: &str = "00f067aa0ba902b7";

/// The spans of one posted event, from hop to hop.
#[derive(Debug)]
struct Trail {
    webhook: Span,
    call: Span,
    served: Span,
    sent: Span,
    processed: Span,
    stored: Span,
}

#[tokio::test(flavor = "multi_thread")]
async fn one_webhook_is_one_trace_in_one_process_on_files() {
    let collector = TraceCollector::start().await;
    let mut weir = Weir::up_with(Ground::Files, collector.settings()).await;
    let trail = follow(&weir, &collector).await;
    assert_eq!(trail.services(), ["weir"; 6]);
    assert_eq!((trail.sent.attribute("messaging.system"), trail.stored.attribute("db.system.name")), ("weir", "sqlite"));
    weir.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_webhook_is_one_trace_through_a_fleet() {
    let collector = TraceCollector::start().await;
    let mut weir = Weir::fleet_with(Ground::servers().await, collector.settings()).await;
    let trail = follow(&weir, &collector).await;
    let [edge, ingest, facebook] = ["edge", "ingest", "facebook-collector"];
    assert_eq!(trail.services(), [edge, edge, ingest, ingest, facebook, facebook]);
    assert_eq!((trail.sent.attribute("messaging.system"), trail.stored.attribute("db.system.name")), ("nats", "postgresql"));
    weir.stop().await;
}

impl Trail {
    /// Waits for every span of it, from the last one back to the webhook.
    async fn find(collector: &TraceCollector, correlation_id: &str) -> Self {
        let with = |name: &'static str| {
            collector.find(move |span| span.name == name && span.attribute("weir.correlation_id") == correlation_id)
        };
        let parent = async |of: &Span| {
            collector.find(|span| of.is_child_of(span)).await
        };
        let stored = with("BATCH INSERT events").await;
        let processed = parent(&stored).await;
        let sent = parent(&processed).await;
        let served = parent(&sent).await;
        let call = parent(&served).await;
        let webhook = parent(&call).await;
        Self { webhook, call, served, sent, processed, stored }
    }

    fn spans(&self) -> [&Span; 6] {
        [&self.webhook, &self.call, &self.served, &self.sent, &self.processed, &self.stored]
    }

    fn services(&self) -> [&str; 6] {
        self.spans().map(Span::service)
    }
}

/// Posts an event as part of a caller's trace and follows it to its row; returns what was seen of it.
async fn follow(weir: &Weir, collector: &TraceCollector) -> Trail {
    let event = facebook_event();
    post_in_trace(weir, &event, "follow-me").await;
    let trail = Trail::find(collector, "follow-me").await;
    let names = trail.spans().map(|span| (span.name.as_str(), span.kind));
    assert_eq!(
        names,
        [
            ("POST /events", SpanKind::Server),
            ("weir.ingest.v1.IngestService/PublishEvents", SpanKind::Client),
            ("weir.ingest.v1.IngestService/PublishEvents", SpanKind::Server),
            ("send events.facebook", SpanKind::Producer),
            ("process events.facebook", SpanKind::Consumer),
            ("BATCH INSERT events", SpanKind::Client),
        ]
    );
    for span in trail.spans() {
        assert_eq!(span.trace, CALLER_TRACE, "{span:?}");
        assert_eq!(span.attribute("weir.correlation_id"), "follow-me", "{span:?}");
        assert!(!span.failed, "{span:?}");
    }
    assert_eq!(trail.webhook.parent, CALLER_SPAN);
    expect_attributes(&trail);
    let received = collector.find(|span| span.name == "receive events.facebook").await;
    assert!(received.parent.is_empty() && received.trace != CALLER_TRACE, "{received:?}");
    assert!(received.links_to(&trail.sent), "{received:?}");
    assert!(trail.processed.links_to(&received), "{:?}", trail.processed);
    let found = weir.get(&format!("/events/facebook/{}", event["eventId"].as_str().unwrap())).await;
    assert_eq!(found.body["stored"]["traceId"], CALLER_TRACE, "{found:?}");
    trail
}

fn expect_attributes(trail: &Trail) {
    let Trail { webhook, call, served, sent, processed, stored } = trail;
    for (span, name, value) in [
        (webhook, "http.request.method", "POST"),
        (webhook, "http.route", "/events"),
        (webhook, "url.path", "/events"),
        (webhook, "http.response.status_code", "202"),
        (call, "rpc.system.name", "grpc"),
        (call, "rpc.method", "weir.ingest.v1.IngestService/PublishEvents"),
        (call, "rpc.response.status_code", "OK"),
        (call, "server.address", "127.0.0.1"),
        (served, "rpc.response.status_code", "OK"),
        (sent, "messaging.destination.name", "events.facebook"),
        (sent, "messaging.operation.type", "send"),
        (sent, "messaging.batch.message_count", "1"),
        (processed, "messaging.operation.type", "process"),
        (processed, "messaging.consumer.group.name", "collector-facebook"),
        (stored, "db.collection.name", "events"),
        (stored, "db.operation.name", "BATCH INSERT"),
    ] {
        assert_eq!(span.attribute(name), value, "{name} of {span:?}");
    }
    for resource in trail.spans().map(|span| &span.resource) {
        assert!(["service.version", "service.instance.id"].iter().all(|name| resource.contains_key(*name)));
    }
}

/// Posts one event as a caller that is traced.
async fn post_in_trace(weir: &Weir, event: &Value, correlation_id: &str) {
    let request = weir.request("/events").json(&json!([event])).header("x-correlation-id", correlation_id);
    let traceparent = format!("00-{CALLER_TRACE}-{CALLER_SPAN}-01");
    let answer = weir.send(request.header("traceparent", traceparent)).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{answer:?}");
}

fn facebook_event() -> Value {
    let mut sender = Sender::new("traced", 21);
    let mut events = sender.events(100).into_iter();
    events.find(|event| event["source"] == "facebook").expect("half of them are Facebook's")
}
