//! Traces: one webhook is one trace over every hop to the committed row (docs/reliability.md#i9-traceable).

mod coalesced;
mod links;
mod outages;
mod trail;

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use weir_event::Source;

use trail::{CALLER_SPAN, CALLER_TRACE, Trail, caller, post_in_trace};
use weir_testkit::{Storage, TraceCollector, Weir, events::with_id, trace_collector::Span};

#[tokio::test(flavor = "multi_thread")]
async fn one_webhook_is_one_trace_in_one_process_on_files() {
    let collector = TraceCollector::start().await;
    let mut weir = Weir::up_with(Storage::Files, collector.settings()).await;
    let trail = follow(&weir, &collector).await;
    assert_eq!(trail.services(), ["weir"; 6]);
    assert_eq!(
        (trail.sent.attribute("messaging.system"), trail.stored.attribute("db.system.name")),
        ("weir", "sqlite")
    );
    weir.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_webhook_is_one_trace_through_a_fleet() {
    let collector = TraceCollector::start().await;
    let mut weir = Weir::fleet_with(Storage::servers().await, collector.settings()).await;
    let trail = follow(&weir, &collector).await;
    let [edge, ingest, facebook] = ["edge", "ingest", "facebook-collector"];
    assert_eq!(trail.services(), [edge, edge, ingest, ingest, facebook, facebook]);
    assert_eq!(
        (trail.sent.attribute("messaging.system"), trail.stored.attribute("db.system.name")),
        ("nats", "postgresql")
    );
    weir.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_is_one_trace_down_to_its_queries_in_one_process_on_files() {
    let collector = TraceCollector::start().await;
    let weir = Weir::up_with(Storage::Files, collector.settings()).await;
    follow_report(&weir, &collector, ["weir"; 4], "sqlite").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_is_one_trace_down_to_its_queries_through_a_fleet() {
    let collector = TraceCollector::start().await;
    let weir = Weir::fleet_with(Storage::servers().await, collector.settings()).await;
    follow_report(&weir, &collector, ["edge", "edge", "reporting", "reporting"], "postgresql").await;
}

/// Requests a report as part of a caller's trace, and follows the request to its SQL.
async fn follow_report(weir: &Weir, collector: &TraceCollector, services: [&str; 4], database: &str) {
    let url = format!("http://{}/reports/revenue?campaignId=a-campaign", weir.addresses.edge);
    let get = reqwest::Client::new().get(url).header("traceparent", caller());
    assert!(weir.send(get).await.status.is_success());
    let query = collector.find(|span| span.trace == CALLER_TRACE && span.name.starts_with("SELECT ")).await;
    let served = collector.find(|span| query.is_child_of(span)).await;
    let call = collector.find(|span| served.is_child_of(span)).await;
    let request = collector.find(|span| call.is_child_of(span)).await;
    assert_eq!([&request, &call, &served, &query].map(Span::service), services);
    assert_eq!(request.parent, CALLER_SPAN);
    assert_eq!(
        (request.name.as_str(), served.name.as_str()),
        ("GET /reports/revenue", "weir.reporting.v1.ReportingService/GetRevenue")
    );
    assert_eq!((query.kind, query.attribute("db.system.name")), (SpanKind::Client, database));
    assert!(!collector.spans().iter().any(|span| format!("{span:?}").contains("a-campaign")));
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_exported_over_http_carry_the_names_of_the_environment() {
    let collector = TraceCollector::over_http().await;
    let settings = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{}", collector.address())),
        ("OTEL_SERVICE_NAME", "another-name".to_owned()),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=a-test".to_owned()),
        ("OTEL_TRACES_SAMPLER", "parentbased_always_off".to_owned()),
    ];
    let mut weir = Weir::up_with(Storage::Files, settings.to_vec()).await;
    weir.send(weir.request("/events").body("[]")).await.expect_accepted(0, 0);
    post_in_trace(&weir, &[], "sampled").await;
    weir.stop().await;
    let spans = collector.spans();
    assert_eq!(spans.len(), 1, "the caller's trace alone is sampled: {spans:?}");
    assert_eq!((spans[0].service(), spans[0].trace.as_str()), ("another-name", CALLER_TRACE));
    assert_eq!(spans[0].resource["deployment.environment.name"], "a-test");
}

/// Posts an event as part of a caller's trace, and follows it to its row; returns its spans.
async fn follow(weir: &Weir, collector: &TraceCollector) -> Trail {
    post_in_trace(weir, &[with_id(Source::Facebook, "followed")], "follow-me").await;
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
    let found = weir.get("/events/facebook/followed").await;
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
