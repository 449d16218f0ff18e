//! Metrics of requests: their durations, with the names and labels of OpenTelemetry's semantic conventions for HTTP.

use std::{
    hash::{Hash, Hasher},
    time::Instant,
};

use axum::extract::{MatchedPath, Request};
use http::{Method, StatusCode};
use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder},
    registry::Registry,
};
use weir_process::{CallContext, LatencyHistogram, TraceContext};

/// The label of a path without a route. Senders choose paths, so a path must not create a series.
const NO_ROUTE: &str = "none";
/// The conventions' label of a method that they don't list.
pub(super) const OTHER_METHOD: &str = "_OTHER";

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Labels {
    http_request_method: &'static str,
    http_route: Route,
    http_response_status_code: u16,
}

/// The route that the path of a request matches, if any.
#[derive(Clone, Debug)]
struct Route(Option<MatchedPath>);

impl Route {
    fn name(&self) -> &str {
        self.0.as_ref().map_or(NO_ROUTE, route_pattern)
    }
}

impl PartialEq for Route {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Route {}

impl Hash for Route {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name().hash(state);
    }
}

impl EncodeLabelValue for Route {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> std::fmt::Result {
        self.name().encode(encoder)
    }
}

/// The pattern of a route. A slash at its end is removed, so that both spellings are one route.
pub(super) fn route_pattern(matched: &MatchedPath) -> &str {
    let path = matched.as_str();
    path.strip_suffix('/').filter(|path| !path.is_empty()).unwrap_or(path)
}

/// The histogram of request durations, in seconds.
pub(crate) type RequestDurations = LatencyHistogram<Labels>;

/// Registers the histogram. A process calls this once.
pub(crate) fn register(registry: &mut Registry) -> RequestDurations {
    LatencyHistogram::register(
        registry,
        "http_server_request_duration_seconds",
        "How long the edge took from the head of a request to its answer",
    )
}

/// Measures one request.
#[derive(Debug)]
pub(crate) struct RequestTimer {
    started: Instant,
    method: &'static str,
    route: Route,
    trace: Option<TraceContext>,
}

impl RequestTimer {
    /// Starts with a request whose extensions hold its [`CallContext`].
    pub(crate) fn start(request: &Request) -> Self {
        let route = Route(request.extensions().get::<MatchedPath>().cloned());
        let context = request.extensions().get::<CallContext>();
        Self {
            started: Instant::now(),
            method: known_method(request.method()).unwrap_or(OTHER_METHOD),
            route,
            trace: context.map(|context| context.trace.clone()),
        }
    }

    /// Observes the time since the start; the trace of the request is the exemplar.
    pub(crate) fn stop(self, durations: &RequestDurations, status: StatusCode) {
        let labels = Labels {
            http_request_method: self.method,
            http_route: self.route,
            http_response_status_code: status.as_u16(),
        };
        durations.observe(&labels, self.started.elapsed(), self.trace.as_ref());
    }
}

/// The method, where the conventions list it.
pub(super) fn known_method(method: &Method) -> Option<&'static str> {
    const KNOWN: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];
    KNOWN.into_iter().find(|name| method.as_str() == *name)
}

#[cfg(test)]
mod tests {
    use axum::{Router, body::Body, routing::get};
    use tower::ServiceExt as _;
    use weir_process::http_guard::RefusedRequests;

    use super::*;
    use crate::{args::TraceTrust, middleware::RequestLayer};

    #[tokio::test]
    async fn an_invented_path_or_method_creates_no_series() {
        let mut registry = Registry::default();
        let durations = register(&mut registry);
        let router: Router = Router::new()
            .route("/events/{source}", get(|| async { "" }))
            .layer(RequestLayer::new(TraceTrust::Trust, durations, RefusedRequests::default()));
        for (method, path) in
            [("GET", "/events/a"), ("GET", "/events/b"), ("BREW", "/coffee"), ("STIR", "/tea")]
        {
            let request =
                Request::builder().method(method).uri(path).header("host", "a").body(Body::empty()).unwrap();
            router.clone().oneshot(request).await.unwrap();
        }
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        let counts: Vec<&str> = text.lines().filter(|line| line.contains("_count{")).collect();
        assert_eq!(counts.len(), 2, "{text}");
        for labels in [
            r#"{http_request_method="GET",http_route="/events/{source}",http_response_status_code="200"} 2"#,
            r#"{http_request_method="_OTHER",http_route="none",http_response_status_code="404"} 2"#,
        ] {
            assert!(counts.iter().any(|count| count.ends_with(labels)), "{labels} is missing in {counts:?}");
        }
    }
}
