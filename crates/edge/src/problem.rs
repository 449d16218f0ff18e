//! Problems (RFC 9457): the body of every error response.
//!
//! A handler returns a [`Problem`]. The outermost layer writes the response, because it knows the correlation id.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use weir_process::CorrelationId;

/// The most violations that a response names for the parameters of one request, however long the request is.
pub(crate) const MAX_VIOLATIONS: usize = 20;
const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

/// The body of a problem. Empty members are left out.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Problem)]
pub(crate) struct ProblemBody {
    /// Always about:blank: the status is the kind of the problem.
    r#type: &'static str,
    /// The status in words.
    #[schema(example = "Service Unavailable")]
    title: &'static str,
    #[schema(example = 503)]
    status: u16,
    /// The fault of this request.
    detail: String,
    /// The reason, for programs: INVALID_REQUEST, QUOTA_EXCEEDED, JOURNAL_FULL, JOURNAL_UNAVAILABLE,
    /// STORE_UNAVAILABLE or OVERLOADED.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    /// Also in the header x-correlation-id.
    correlation_id: String,
    /// The accepted items of a webhook: 0 in a problem.
    #[serde(skip_serializing_if = "Option::is_none")]
    accepted: Option<u64>,
    /// The rejected items of a webhook.
    #[serde(skip_serializing_if = "Option::is_none")]
    rejected: Option<u64>,
    /// The bad items of a webhook, at most 100.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<ItemError>,
    /// There are more bad items than `errors` names.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    errors_truncated: bool,
    /// The bad parameters of a request, at most 20.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    violations: Vec<ParameterViolation>,
}

/// A rule that one parameter of a request breaks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct ParameterViolation {
    #[schema(example = "from")]
    pub(crate) parameter: String,
    #[schema(example = "must be RFC 3339 or a date")]
    pub(crate) message: String,
}

/// A bad item of a webhook, as the response names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ItemError {
    /// Its index in the body, from 0.
    pub(crate) index: u64,
    /// Present where the item has an eventId that is a string; its beginning where the item has over 1,028 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) event_id: Option<String>,
    pub(crate) violations: Vec<Violation>,
}

/// One rule that an item breaks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Violation {
    /// RFC 6901 pointer into the item; "" is the item itself.
    #[schema(example = "/timestamp")]
    pub pointer: String,
    #[schema(example = "must be an RFC 3339 date-time")]
    pub message: String,
}

impl From<weir_event::Violation> for Violation {
    fn from(violation: weir_event::Violation) -> Self {
        Self { pointer: violation.pointer.into_owned(), message: violation.message }
    }
}

/// An error response that the outermost layer has not written yet.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    body: Box<ProblemBody>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let body = Box::new(ProblemBody {
            r#type: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail: detail.into(),
            reason: None,
            correlation_id: String::new(),
            accepted: None,
            rejected: None,
            errors: Vec::new(),
            errors_truncated: false,
            violations: Vec::new(),
        });
        Self { status, body, headers: Vec::new() }
    }

    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// A 500: the fault is in Weir, and the caller can't repair the request.
    pub(crate) fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the edge failed; its log has the cause under this correlation id",
        )
    }

    pub(crate) fn reason(mut self, reason: &'static str) -> Self {
        self.body.reason = Some(reason);
        self
    }

    /// Sets `Retry-After`, in whole seconds, rounded up and at least 1.
    pub(crate) fn retry_after(self, delay: Duration) -> Self {
        let seconds = delay.as_millis().div_ceil(1000).max(1);
        self.header(header::RETRY_AFTER, &seconds.to_string())
    }

    /// Adds a header, unless `value` has bytes that no header may have.
    pub(crate) fn header(mut self, name: HeaderName, value: &str) -> Self {
        self.headers.extend(HeaderValue::from_str(value).ok().map(|value| (name, value)));
        self
    }

    /// Adds the errors of a webhook whose items were all rejected.
    pub(crate) fn item_errors(mut self, rejected: u64, errors: Vec<ItemError>, truncated: bool) -> Self {
        self.body.accepted = Some(0);
        self.body.rejected = Some(rejected);
        self.body.errors = errors;
        self.body.errors_truncated = truncated;
        self
    }

    /// Adds the first [`MAX_VIOLATIONS`] of `violations`.
    pub(crate) fn violations(mut self, mut violations: Vec<ParameterViolation>) -> Self {
        violations.truncate(MAX_VIOLATIONS);
        self.body.violations = violations;
        self
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    pub(crate) fn detail(&self) -> &str {
        &self.body.detail
    }

    /// Writes the response.
    pub(crate) fn respond(mut self, correlation_id: &CorrelationId) -> Response {
        correlation_id.as_str().clone_into(&mut self.body.correlation_id);
        let mut response = (self.status, axum::Json(&self.body)).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, PROBLEM_JSON);
        response.headers_mut().extend(self.headers);
        response
    }
}

impl IntoResponse for Problem {
    /// Leaves the problem to the outermost layer.
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use serde_json::{Value, json};

    use super::*;

    #[tokio::test]
    async fn a_problem_has_no_empty_members() {
        let id = CorrelationId::parse("abc").unwrap();
        let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "full")
            .reason("JOURNAL_FULL")
            .retry_after(Duration::from_millis(4001));
        let response = problem.respond(&id);
        assert_eq!(response.headers()[header::RETRY_AFTER], "5");
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(
            serde_json::from_slice::<Value>(&body).unwrap(),
            json!({"type": "about:blank", "title": "Service Unavailable", "status": 503, "detail": "full",
                   "reason": "JOURNAL_FULL", "correlationId": "abc"})
        );
    }
}
