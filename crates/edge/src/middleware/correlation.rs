//! Correlation of a request: its id, its span and its log context; writes the response of a problem.

use axum::{extract::Request, response::Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header::CONTENT_TYPE};
use tracing::{Span, debug, error, warn};
use weir_process::{CallContext, CorrelationId, LogContext, TraceContext};

use super::request_span;
use crate::{args::TraceTrust, problem::Problem};

const CORRELATION_ID: HeaderName = HeaderName::from_static(CorrelationId::HTTP_HEADER);
const REQUEST_ID: &str = "x-request-id";

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
        let span = request_span::begin(request, &mut context, trust);
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
        request_span::end(&self.span, response.status());
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
