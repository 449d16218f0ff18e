//! Problems (RFC 9457): how every refusal reads.
//!
//! A handler returns a [`Problem`]; the outermost layer writes it out, because it knows the correlation id.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;
use weir_process::CorrelationId;

use crate::webhooks::ItemError;

/// So many faults are told of a question at most, whatever its length.
pub(crate) const MAX_VIOLATIONS: usize = 20;
const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

/// The body of a problem. Members that say nothing are left out.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Problem)]
pub(crate) struct ProblemBody {
    /// Always about:blank: the status says what kind of problem it is.
    r#type: &'static str,
    /// The status in words.
    #[schema(example = "Service Unavailable")]
    title: &'static str,
    #[schema(example = 503)]
    status: u16,
    /// What is wrong with this request.
    detail: String,
    /// Why, for programs: INVALID_REQUEST, QUOTA_EXCEEDED, JOURNAL_FULL, JOURNAL_UNAVAILABLE, STORE_UNAVAILABLE or
    /// OVERLOADED.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    /// Also in the header x-correlation-id.
    correlation_id: String,
    /// Of the items of a webhook: none, where this is its answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    accepted: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rejected: Option<u64>,
    /// The bad items of a webhook, at most 100.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<ItemError>,
    /// There are more bad items than `errors` names.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    errors_truncated: bool,
    /// The bad parameters of a question, at most 20.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    violations: Vec<ParameterViolation>,
}

/// What is wrong with one parameter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct ParameterViolation {
    #[schema(example = "from")]
    pub(crate) parameter: String,
    #[schema(example = "must be RFC 3339 or a date")]
    pub(crate) message: String,
}

/// A refusal on its way out.
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

    /// A 500: this is our mistake, and there is nothing that the caller could do better.
    pub(crate) fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the edge failed; the log tells more under this correlation id",
        )
    }

    pub(crate) fn reason(mut self, reason: &'static str) -> Self {
        self.body.reason = Some(reason);
        self
    }

    /// Tells when to try again, in whole seconds, at least one.
    pub(crate) fn retry_after(self, delay: Duration) -> Self {
        let seconds = delay.as_millis().div_ceil(1000).max(1);
        self.header(header::RETRY_AFTER, &seconds.to_string())
    }

    /// A `value` that can't be written into a header is left out.
    pub(crate) fn header(mut self, name: HeaderName, value: &str) -> Self {
        self.headers.extend(HeaderValue::from_str(value).ok().map(|value| (name, value)));
        self
    }

    /// Every item of a webhook was `rejected`.
    pub(crate) fn errors(mut self, rejected: u64, errors: Vec<ItemError>, truncated: bool) -> Self {
        self.body.accepted = Some(0);
        self.body.rejected = Some(rejected);
        self.body.errors = errors;
        self.body.errors_truncated = truncated;
        self
    }

    /// Keeps the first [`MAX_VIOLATIONS`].
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

    /// Writes it out.
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
    async fn a_problem_says_what_it_knows_and_nothing_else() {
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
