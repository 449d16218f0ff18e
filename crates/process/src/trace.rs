//! Exported spans, and their links to the spans of other processes.
//!
//! Without an export the spans are disabled, and every function here does nothing.

use std::{
    str::FromStr as _,
    sync::atomic::{AtomicBool, Ordering},
};

use opentelemetry::{
    Context, KeyValue,
    baggage::BaggageExt as _,
    trace::{SpanContext, SpanId, Status, TraceContextExt as _, TraceFlags, TraceId, TraceState},
};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::{CorrelationId, TraceContext};

/// The target of exported spans: `info_span!(target: trace::TARGET, …)`. Logs never show them, and log
/// entries do not belong to them.
pub const TARGET: &str = "span";
/// The attribute and the baggage that carry the correlation id.
pub const CORRELATION_ID: &str = "weir.correlation_id";
/// The header of W3C Baggage.
pub const BAGGAGE: &str = "baggage";

/// Set once, when the process starts to export spans.
static EXPORTED: AtomicBool = AtomicBool::new(false);

/// Notes that this process exports spans from now on.
pub(super) fn set_exported() {
    EXPORTED.store(true, Ordering::Relaxed);
}

/// Returns true if spans are exported; for work that costs more than a disabled span.
///
/// The answer does not come from `tracing`: its filters remember the answer of `span_enabled!` and apply it
/// to the next log entry of the thread, which is then lost.
#[must_use]
pub fn is_exported() -> bool {
    EXPORTED.load(Ordering::Relaxed)
}

/// Makes a span that was not entered yet the child of a span elsewhere, or a root if `parent` is empty. The
/// span and its children carry `correlation_id`.
pub fn set_parent(span: &Span, parent: &TraceContext, correlation_id: &CorrelationId) {
    if span.is_disabled() {
        return;
    }
    let context = parent
        .span_context()
        .map_or_else(Context::new, |parent| Context::new().with_remote_span_context(parent));
    let id = KeyValue::new(CORRELATION_ID, correlation_id.as_str().to_owned());
    // It fails for spans that are not exported, which need no parents.
    let _not_exported = span.set_parent(context.with_baggage([id]));
}

/// Links a span to one of another process.
pub fn link(span: &Span, other: &TraceContext) {
    if let Some(other) = other.span_context().filter(|_| !span.is_disabled()) {
        span.add_link(other);
    }
}

/// Marks the span as failed. `description` must not contain people's data.
pub fn fail(span: &Span, description: impl Into<String>) {
    if !span.is_disabled() {
        span.set_status(Status::error(description.into()));
    }
}

/// The context of `span` to pass on; `None` if it is not exported.
#[must_use]
pub fn context_of(span: &Span) -> Option<TraceContext> {
    if span.is_disabled() {
        return None;
    }
    let context = span.context();
    let context = context.span().span_context().clone();
    context.is_valid().then(|| TraceContext::of(&context))
}

/// The context of the current span to pass on; `None` if it is not exported.
#[must_use]
pub fn current_context() -> Option<TraceContext> {
    Context::map_current(|context| {
        let span = context.span();
        let context = span.span_context();
        context.is_valid().then(|| TraceContext::of(context))
    })
}

/// The ids of the current trace and span, as logs name them.
pub(super) fn current() -> Option<(TraceId, SpanId)> {
    Context::map_current(|context| {
        let span = context.span();
        let context = span.span_context();
        context.is_valid().then(|| (context.trace_id(), context.span_id()))
    })
}

impl TraceContext {
    /// Returns true if its spans are exported.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        self.span_context().is_some_and(|context| context.is_sampled())
    }

    /// The trace id: 32 hexadecimal digits; empty without a trace.
    #[must_use]
    pub fn trace_id(&self) -> &str {
        self.traceparent.split('-').nth(1).unwrap_or_default()
    }

    fn of(context: &SpanContext) -> Self {
        let flags = context.trace_flags().to_u8();
        let traceparent = format!("00-{}-{}-{flags:02x}", context.trace_id(), context.span_id());
        Self { traceparent, tracestate: context.trace_state().header() }
    }

    fn span_context(&self) -> Option<SpanContext> {
        let mut parts = self.traceparent.split('-').skip(1);
        let trace = TraceId::from_hex(parts.next()?).ok()?;
        let span = SpanId::from_hex(parts.next()?).ok()?;
        let flags = TraceFlags::new(u8::from_str_radix(parts.next()?, 16).ok()?);
        let state = TraceState::from_str(&self.tracestate).unwrap_or_default();
        let context = SpanContext::new(trace, span, flags, true, state);
        context.is_valid().then_some(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_is_passed_on_unchanged() {
        let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let context = TraceContext::parse(Some(traceparent), Some("vendor=a,other=b"));
        assert!(context.is_sampled());
        assert_eq!(context.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(TraceContext::of(&context.span_context().unwrap()), context);
        assert_eq!(TraceContext::default().span_context(), None);
    }

    #[test]
    fn a_span_that_is_not_exported_has_no_context() {
        assert_eq!(context_of(&Span::none()), None);
        assert_eq!(current(), None);
    }
}
