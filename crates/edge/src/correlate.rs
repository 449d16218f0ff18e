//! Gives every request its correlation id, its span and its name in the log, and writes problems out.

use axum::{extract::Request, response::Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header::CONTENT_TYPE};
use tracing::{Span, debug, error, warn};
use weir_process::{CallContext, CorrelationId, LogContext, TraceContext};

use crate::{args::TraceTrust, problem::Problem, request_span};

const CORRELATION_ID: HeaderName = HeaderName::from_static(CorrelationId::HTTP_HEADER);
const REQUEST_ID: &str = "x-request-id";

/// One request's correlation id, its span and its name in the log.
#[derive(Debug)]
pub(crate) struct Correlated {
    id: CorrelationId,
    exported: Span,
    logged: LogContext,
}

impl Correlated {
    /// Handlers find the [`CallContext`] in the request's extensions.
    pub(crate) fn begin(request: &mut Request, trust: TraceTrust) -> Self {
        let mut context = context(request.headers());
        let id = context.correlation_id.clone();
        let exported = request_span::begin(request, &mut context, trust);
        let logged = LogContext::request(id.clone(), request.method().as_str(), request.uri().path());
        request.extensions_mut().insert(context);
        Self { id, exported, logged }
    }

    /// What the request is handled within: the span is exported, the call is part of log entries.
    pub(crate) fn surroundings(&self) -> (Span, LogContext) {
        (self.exported.clone(), self.logged.clone())
    }

    /// Writes a problem out, and the correlation id into the answer.
    pub(crate) fn end(self, response: Response) -> Response {
        let mut response = write_problem(response, &self.id);
        if let Ok(value) = HeaderValue::from_str(self.id.as_str()) {
            response.headers_mut().insert(CORRELATION_ID, value);
        }
        request_span::end(&self.exported, response.status());
        response
    }
}

/// An id that breaks the rule is as good as none.
fn context(headers: &HeaderMap) -> CallContext {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let correlation_id = text(CorrelationId::HTTP_HEADER)
        .or_else(|| text(REQUEST_ID))
        .and_then(CorrelationId::parse)
        .unwrap_or_else(CorrelationId::generate);
    let trace = TraceContext::parse(text(TraceContext::TRACEPARENT), text(TraceContext::TRACESTATE));
    CallContext { correlation_id, trace }
}

/// Routes that don't exist and methods that a route has not are refused by the router without a word.
fn write_problem(mut response: Response, id: &CorrelationId) -> Response {
    let status = response.status();
    let answered = response.headers().contains_key(CONTENT_TYPE);
    let problem = response.extensions_mut().remove::<Problem>().or_else(|| match status {
        StatusCode::NOT_FOUND if answered => None,
        StatusCode::NOT_FOUND => Some(Problem::new(status, "there is nothing at this path")),
        StatusCode::METHOD_NOT_ALLOWED => Some(Problem::new(status, "the path does not take this method")),
        _ => None,
    });
    let Some(problem) = problem else {
        debug!(status = status.as_u16(), "request answered");
        return response;
    };
    log(&problem);
    let allowed = response.headers_mut().remove(http::header::ALLOW);
    let mut response = problem.respond(id);
    response.headers_mut().extend(allowed.map(|allowed| (http::header::ALLOW, allowed)));
    response
}

fn log(problem: &Problem) {
    let (status, detail) = (problem.status().as_u16(), problem.detail());
    match problem.status() {
        StatusCode::INTERNAL_SERVER_ERROR => error!(status, detail, "request failed"),
        refused if refused.is_server_error() => warn!(status, detail, "request could not be served"),
        _ => debug!(status, detail, "request refused"),
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
    fn the_correlation_id_goes_before_the_request_id() {
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
