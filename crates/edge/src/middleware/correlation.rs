//! Correlation of a request: its id, its SERVER span and its log context; writes the response of a problem.

use axum::{
    extract::{MatchedPath, Request},
    response::Response,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header::CONTENT_TYPE};
use tracing::{Span, debug, error, field::Empty, info_span, warn};
use weir_process::{CallContext, CorrelationId, LogContext, TraceContext, trace};

use super::request_metrics::{OTHER_METHOD, known_method, route_pattern};
use crate::{args::TraceTrust, problem::Problem};

const CORRELATION_ID: HeaderName = HeaderName::from_static(CorrelationId::HTTP_HEADER);
const REQUEST_ID: &str = "x-request-id";
/// Prefixes of routes without spans: machines call these many times a minute, and people browse the description.
const UNTRACED: [&str; 3] = ["/health/", "/metrics", "/api"];

/// The correlation of one request.
#[derive(Debug)]
pub(crate) struct Correlation {
    id: CorrelationId,
    span: Span,
    log_context: LogContext,
}

impl Correlation {
    /// Reads or generates the id and begins the span. Handlers find the [`CallContext`] in the extensions of `request`.
    pub(crate) fn begin(request: &mut Request, trust: TraceTrust) -> Self {
        let mut context = context(request.headers());
        let id = context.correlation_id.clone();
        let span = begin_span(request, &mut context, trust);
        let log_context = LogContext::request(id.clone(), request.method().as_str(), request.uri().path());
        request.extensions_mut().insert(context);
        Self { id, span, log_context }
    }

    /// The scopes that the handler runs in: the exported span and the fields of log entries.
    pub(crate) fn scopes(&self) -> (Span, LogContext) {
        (self.span.clone(), self.log_context.clone())
    }

    /// Writes the response of a problem, adds the correlation id to the response and ends the span.
    pub(crate) fn end(self, response: Response) -> Response {
        let mut response = write_problem(response, &self.id);
        if let Ok(value) = HeaderValue::from_str(self.id.as_str()) {
            response.headers_mut().insert(CORRELATION_ID, value);
        }
        end_span(&self.span, response.status());
        response
    }
}

/// The context that the headers carry. An invalid correlation id counts as absent, and a new one is generated.
fn context(headers: &HeaderMap) -> CallContext {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let correlation_id = text(CorrelationId::HTTP_HEADER)
        .or_else(|| text(REQUEST_ID))
        .and_then(CorrelationId::parse)
        .unwrap_or_else(CorrelationId::generate);
    let trace = TraceContext::parse(text(TraceContext::TRACEPARENT), text(TraceContext::TRACESTATE));
    CallContext { correlation_id, trace }
}

/// Begins the span of a request to a route of the edge. The trace of `context` becomes the new span, whose parent is
/// the caller's span.
fn begin_span(request: &Request, context: &mut CallContext, trust: TraceTrust) -> Span {
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
fn end_span(span: &Span, status: StatusCode) {
    span.record("http.response.status_code", status.as_u16());
    if status.is_server_error() {
        span.record("error.type", status.as_str());
        trace::fail(span, "");
    }
}

/// Replaces the response of a problem by one with a body. The router sends 404 and 405 without a body; these become
/// problems too.
fn write_problem(mut response: Response, id: &CorrelationId) -> Response {
    let status = response.status();
    let has_body = response.headers().contains_key(CONTENT_TYPE);
    let problem = response.extensions_mut().remove::<Problem>().or_else(|| match status {
        StatusCode::NOT_FOUND if has_body => None,
        StatusCode::NOT_FOUND => Some(Problem::new(status, "there is nothing at this path")),
        StatusCode::METHOD_NOT_ALLOWED => Some(Problem::new(status, "the path does not support this method")),
        _ => None,
    });
    let Some(problem) = problem else {
        debug!(status = status.as_u16(), "request answered");
        return response;
    };
    log(&problem);
    let allow = response.headers_mut().remove(http::header::ALLOW);
    let mut response = problem.respond(id);
    response.headers_mut().extend(allow.map(|allow| (http::header::ALLOW, allow)));
    response
}

fn log(problem: &Problem) {
    let (status, detail) = (problem.status().as_u16(), problem.detail());
    match problem.status() {
        StatusCode::INTERNAL_SERVER_ERROR => error!(status, detail, "request failed"),
        status_code if status_code.is_server_error() => warn!(status, detail, "request could not be served"),
        _ => debug!(status, detail, "request rejected"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id_of(headers: &[(&'static str, &'static str)]) -> String {
        let header = |(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
        let headers = headers.iter().copied().map(header).collect();
        context(&headers).correlation_id.to_string()
    }

    #[test]
    fn a_correlation_id_takes_precedence_over_a_request_id() {
        assert_eq!(id_of(&[(CorrelationId::HTTP_HEADER, "a"), (REQUEST_ID, "b")]), "a");
        assert_eq!(id_of(&[(REQUEST_ID, "b")]), "b");
    }

    #[test]
    fn an_invalid_id_is_replaced() {
        for value in ["", "a b", "{}"] {
            let id = id_of(&[(CorrelationId::HTTP_HEADER, value)]);
            assert_eq!(id.len(), 36, "{id}");
        }
    }
}
