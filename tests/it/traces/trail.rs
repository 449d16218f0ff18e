//! The trail of one posted event: its spans from hop to hop.

use reqwest::StatusCode;
use serde_json::{Value, json};
use weir_testkit::{TraceCollector, Weir, trace_collector::Span};

/// The trace and the span of the caller.
pub(super) const CALLER_TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
pub(super) const CALLER_SPAN: &str = "00f067aa0ba902b7";

/// The spans from the webhook to the transaction that committed the row.
#[derive(Debug)]
pub(super) struct Trail {
    pub(super) webhook: Span,
    pub(super) call: Span,
    pub(super) served: Span,
    pub(super) sent: Span,
    pub(super) processed: Span,
    pub(super) stored: Span,
}

impl Trail {
    /// Waits for every span of the trail, from the last one back to the webhook.
    pub(super) async fn find(collector: &TraceCollector, correlation_id: &str) -> Self {
        let is_last = |span: &Span| {
            span.name == "BATCH INSERT events" && span.attribute("weir.correlation_id") == correlation_id
        };
        let parent = async |of: &Span| collector.find(|span| of.is_child_of(span)).await;
        let stored = collector.find(is_last).await;
        let processed = parent(&stored).await;
        let sent = parent(&processed).await;
        let served = parent(&sent).await;
        let call = parent(&served).await;
        let webhook = parent(&call).await;
        Self { webhook, call, served, sent, processed, stored }
    }

    pub(super) fn spans(&self) -> [&Span; 6] {
        [&self.webhook, &self.call, &self.served, &self.sent, &self.processed, &self.stored]
    }

    pub(super) fn services(&self) -> [&str; 6] {
        self.spans().map(Span::service)
    }
}

/// Posts events as a caller with a trace.
pub(super) async fn post_in_trace(weir: &Weir, events: &[Value], correlation_id: &str) {
    let request = weir.request("/events").json(&json!(events)).header("x-correlation-id", correlation_id);
    let answer = weir.send(request.header("traceparent", caller())).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{answer:?}");
}

/// The `traceparent` of the caller.
pub(super) fn caller() -> String {
    format!("00-{CALLER_TRACE}-{CALLER_SPAN}-01")
}
