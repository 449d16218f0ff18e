//! The durations of requests, under the name and the labels of OpenTelemetry's semantic conventions for HTTP.

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
use weir_process::{CallContext, Durations, TraceContext};

/// For a path that no route has: senders choose paths, and must not make series.
const NO_ROUTE: &str = "none";
/// The conventions' name for a method that is not one of theirs.
const OTHER_METHOD: &str = "_OTHER";

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Labels {
    http_request_method: &'static str,
    http_route: Route,
    http_response_status_code: u16,
}

/// What a request's path matches.
#[derive(Clone, Debug)]
struct Route(Option<MatchedPath>);

impl Route {
    fn name(&self) -> &str {
        self.0.as_ref().map_or(NO_ROUTE, pattern)
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

/// The route that a path matches; one with a slash at its end is the one without.
pub(crate) fn pattern(matched: &MatchedPath) -> &str {
    let path = matched.as_str();
    path.strip_suffix('/').filter(|path| !path.is_empty()).unwrap_or(path)
}

/// The histogram of requests.
pub(crate) type RequestDurations = Durations<Labels>;

/// Registers the histogram; once in a process.
pub(crate) fn register(registry: &mut Registry) -> RequestDurations {
    Durations::register(
        registry,
        "http_server_request_duration_seconds",
        "How long the edge took from the head of a request to its answer",
    )
}

/// One request that is under way.
#[derive(Debug)]
pub(crate) struct Measured {
    begun: Instant,
    method: &'static str,
    route: Route,
    trace: Option<TraceContext>,
}

impl Measured {
    /// A request that has its context already.
    pub(crate) fn begin(request: &Request) -> Self {
        let route = Route(request.extensions().get::<MatchedPath>().cloned());
        let context = request.extensions().get::<CallContext>();
        Self {
            begun: Instant::now(),
            method: method(request.method()),
            route,
            trace: context.map(|context| context.trace.clone()),
        }
    }

    pub(crate) fn end(self, durations: &RequestDurations, status: StatusCode) {
        let labels = Labels {
            http_request_method: self.method,
            http_route: self.route,
            http_response_status_code: status.as_u16(),
        };
        durations.observe(&labels, self.begun.elapsed(), self.trace.as_ref());
    }
}

fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::CONNECT => "CONNECT",
        Method::OPTIONS => "OPTIONS",
        Method::TRACE => "TRACE",
        Method::PATCH => "PATCH",
        _ => OTHER_METHOD,
    }
}

#[cfg(test)]
mod tests {
    use axum::{Router, body::Body, routing::get};
    use tower::ServiceExt as _;

    use super::*;
    use crate::{args::TraceTrust, surround::Surround};

    #[tokio::test]
    async fn words_that_a_sender_invents_create_no_series() {
        let mut registry = Registry::default();
        let durations = register(&mut registry);
        let router: Router = Router::new()
            .route("/events/{source}", get(|| async { "" }))
            .layer(Surround { trust: TraceTrust::Trust, durations });
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
