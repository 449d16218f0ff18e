//! The SERVER span of a request, where spans are exported.

use axum::extract::{MatchedPath, Request};
use http::{Method, StatusCode};
use tracing::{Span, field::Empty, info_span};
use weir_process::{CallContext, TraceContext, trace};

use super::request_metrics::pattern;
use crate::args::TraceTrust;

/// What is asked many times a minute by machines, or by people who look at the description.
const UNTRACED: [&str; 3] = ["/health/", "/metrics", "/api"];

/// Begins the span of a request to one of our routes. What `context` names as its trace is then the span, and the
/// caller's only above it.
pub(crate) fn begin(request: &Request, context: &mut CallContext, trust: TraceTrust) -> Span {
    let Some(route) = request.extensions().get::<MatchedPath>().map(pattern) else {
        return Span::none();
    };
    if UNTRACED.iter().any(|prefix| route.starts_with(prefix)) {
        return Span::none();
    }
    let span = of(request, route);
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

fn of(request: &Request, route: &str) -> Span {
    let method = known(request.method());
    // A method that the sender invented is no name.
    let name = method.unwrap_or("HTTP");
    info_span!(
        target: trace::TARGET,
        "request",
        otel.name = format_args!("{name} {route}"),
        otel.kind = "server",
        http.request.method = method.unwrap_or("_OTHER"),
        http.route = route,
        url.path = request.uri().path(),
        url.scheme = "http",
        http.response.status_code = Empty,
        "error.type" = Empty,
    )
}

fn known(method: &Method) -> Option<&'static str> {
    const KNOWN: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];
    KNOWN.into_iter().find(|name| method.as_str() == *name)
}

/// A refusal is the caller's affair and no error of ours.
pub(crate) fn end(span: &Span, status: StatusCode) {
    span.record("http.response.status_code", status.as_u16());
    if status.is_server_error() {
        span.record("error.type", status.as_str());
        trace::fail(span, "");
    }
}
