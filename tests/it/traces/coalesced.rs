//! Posts that the edge coalesces into one call: each stays in its own trace, and the call links to all of them.

use futures::future::join_all;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use weir_event::Source;
use weir_testkit::{Storage, TraceCollector, Weir, events::with_id, trace_collector::Span};

use super::trail::CALLER_SPAN;

/// The number of posts at the same time, and of such crowds. Among so many, some share a call.
const CROWD: usize = 32;
const CROWDS: usize = 10;

#[tokio::test(flavor = "multi_thread")]
async fn coalesced_posts_stay_in_their_own_traces_in_one_process_on_files() {
    let collector = TraceCollector::start().await;
    let weir = Weir::up_with(Storage::Files, collector.settings()).await;
    follow_coalesced(&weir, &collector).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn coalesced_posts_stay_in_their_own_traces_through_a_fleet() {
    let collector = TraceCollector::start().await;
    let weir = Weir::fleet_with(Storage::servers().await, collector.settings()).await;
    follow_coalesced(&weir, &collector).await;
}

async fn follow_coalesced(weir: &Weir, collector: &TraceCollector) {
    let traces: Vec<String> = (1..=CROWD * CROWDS).map(|number| format!("{number:032x}")).collect();
    for crowd in traces.chunks(CROWD) {
        join_all(crowd.iter().map(|trace| post(weir, trace))).await;
    }
    // This span exists only if several posts shared a call.
    let created = collector.find(|span| span.name == "create events.facebook").await;
    let webhook = collector.find(|span| created.is_child_of(span)).await;
    assert_eq!((created.kind, webhook.name.as_str()), (SpanKind::Producer, "POST /events"));
    assert_eq!(webhook.parent, CALLER_SPAN);
    let call = collector
        .find(|span| span.kind == SpanKind::Client && is_publishing(span) && span.links_to(&webhook))
        .await;
    assert!(call.parent.is_empty() && !traces.contains(&call.trace) && call.links.len() > 1, "{call:?}");
    let served = collector.find(|span| is_publishing(span) && span.is_child_of(&call)).await;
    let sent = collector.find(|span| span.name == "send events.facebook" && span.links_to(&created)).await;
    assert!(sent.is_child_of(&served) && sent.links.len() == call.links.len(), "{sent:?} {call:?}");
    for trace in &traces {
        let processed =
            collector.find(|span| span.name == "process events.facebook" && span.trace == *trace).await;
        assert_eq!(processed.attribute("weir.correlation_id"), trace);
        let produced = collector.find(|span| processed.is_child_of(span)).await;
        assert_eq!((produced.kind, &produced.trace), (SpanKind::Producer, trace), "{produced:?}");
    }
    let id = &created.trace;
    let found = weir.get(&format!("/events/facebook/{id}")).await;
    assert_eq!(
        (&found.body["stored"]["traceId"], &found.body["stored"]["correlationId"]),
        (&id.as_str().into(), &id.as_str().into()),
        "{found:?}"
    );
}

fn is_publishing(span: &Span) -> bool {
    span.name == "weir.ingest.v1.IngestService/PublishEvents"
}

/// Posts an event whose caller's trace is also its id and its correlation id.
async fn post(weir: &Weir, trace: &str) {
    let request = weir.request("/events").json(&with_id(Source::Facebook, trace));
    let request = request.header("x-correlation-id", trace);
    let answer = weir.send(request.header("traceparent", format!("00-{trace}-{CALLER_SPAN}-01"))).await;
    assert_eq!((answer.status.as_u16(), &answer.body["accepted"]), (202, &1.into()), "{answer:?}");
}
