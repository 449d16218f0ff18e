//! The SERVER span of a request. The process exports it where an exporter is configured.

use axum::extract::{MatchedPath, Request};
use http::StatusCode;
use tracing::{Span, field::Empty, info_span};
use weir_process::{CallContext, TraceContext, trace};

use super::request_metrics::{OTHER_METHOD, known_method, route_pattern};
use crate::args::TraceTrust;

/// Prefixes of routes without spans: machines call these many times a minute, and people browse the description.
const UNTRACED: [&str; 3] = ["/health/", "/metrics", "/api"];

/// Begins the span of a request to a route of the edge. The trace of `context` becomes the new span, whose parent is
/// the caller's span.
pub(crate) fn begin(request: &Request, context: &mut CallContext, trust: TraceTrust) -> Span {
    let Some(route) = request.extensions().get::<MatchedPath>().map(route_pattern) else {
        return Span::none();
    };
    if UNTRACED.iter().any(|prefix| route.starts_with(prefix)) {
        return Span::none();
    }
    let span = new_span(request, route);
    if span.is_disabled() {
        return span;
    }
    match trust {
        TraceTrust::Trust => trace::set_parent(&span, &context.trace, &context.correlation_id),
        TraceTrust::Link => {
            trace::link(&span, &context.trace);
            trace::set_parent(&span, &TraceContext::default(), &context.correlation_id);
        }
    }
    if let Some(own) = trace::context_of(&span) {
        context.trace = own;
    }
    span
}

fn new_span(request: &Request, route: &str) -> Span {
    let method = known_method(request.method());
    // Senders choose methods, so an unknown one must not become a span name.
    let name = method.unwrap_or("HTTP");
    info_span!(
        target: trace::TARGET,
        "request",
        otel.name = format_args!("{name} {route}"),
        otel.kind = "server",
        http.request.method = method.unwrap_or(OTHER_METHOD),
        http.route = route,
        url.path = request.uri().path(),
        url.scheme = "http",
        http.response.status_code = Empty,
        "error.type" = Empty,
    )
}

/// Ends the span. Only a 5xx marks it as failed: a 4xx is a fault of the caller.
pub(crate) fn end(span: &Span, status: StatusCode) {
    span.record("http.response.status_code", status.as_u16());
    if status.is_server_error() {
        span.record("error.type", status.as_str());
        trace::fail(span, "");
    }
}
