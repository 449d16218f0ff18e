//! The layer around every handler: span, correlation id, duration metric, checks of the head, caught panics, and the
//! headers of every answer.
//!
//! It is one layer, because each layer of axum costs several allocations per request. Posts of single events would feel
//! those.

pub(crate) mod request_metrics;

mod correlation;
mod head;

use std::{
    any::Any,
    convert::Infallible,
    panic::AssertUnwindSafe,
    task::{Context, Poll},
};

use axum::{
    extract::Request,
    response::{IntoResponse as _, Response},
};
use futures::{FutureExt as _, future::BoxFuture};
use tower::{Layer, Service};
use tracing::Instrument as _;
use weir_process::http_guard::{self, JSON_MEDIA_TYPES, Refusal, RefusedRequests};

use self::{
    correlation::Correlation,
    request_metrics::{RequestDurations, RequestTimer},
};
use crate::{args::TraceTrust, problem::Problem};

/// The listener of the edge: the `listener` label of its refusals.
const LISTENER: &str = "edge";

/// Wraps the router of the edge.
#[derive(Clone, Debug)]
pub(crate) struct RequestLayer {
    trust: TraceTrust,
    durations: RequestDurations,
    refused: RefusedRequests,
}

/// A handler inside the layer.
#[derive(Clone, Debug)]
pub(crate) struct RequestService<S> {
    handler: S,
    layer: RequestLayer,
}

impl<S> Layer<S> for RequestLayer {
    type Service = RequestService<S>;

    fn layer(&self, handler: S) -> RequestService<S> {
        RequestService { handler, layer: self.clone() }
    }
}

impl<S> Service<Request> for RequestService<S>
where
    S: Service<Request, Response = Response, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.handler.poll_ready(context)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let correlation = Correlation::begin(&mut request, self.layer.trust);
        let timer = RequestTimer::start(&request);
        let durations = self.layer.durations.clone();
        let (span, log_context) = correlation.scopes();
        let handling = head::check(&request)
            .and_then(|()| self.layer.pass(&request))
            .map(|()| span.in_scope(|| log_context.clone().within_sync(|| self.handler.call(request))));
        let responding = async move {
            let response = match handling {
                Ok(handling) => catch_panic(handling).await,
                Err(problem) => problem.into_response(),
            };
            timer.stop(&durations, response.status());
            let mut response = correlation.end(response);
            http_guard::add_to_answer(response.headers_mut());
            Ok(response)
        };
        Box::pin(log_context.within(responding).instrument(span))
    }
}

impl RequestLayer {
    pub(crate) fn new(trust: TraceTrust, durations: RequestDurations, refused: RefusedRequests) -> Self {
        refused.expect(LISTENER, &[Refusal::Host, Refusal::Origin, Refusal::TransferEncoding]);
        Self { trust, durations, refused }
    }

    /// Lets a request pass, unless its connection has found a [`Refusal`]. The connection alone knows the address at
    /// which the request arrived. A request that passes carries nothing, and costs no allocation.
    fn pass(&self, request: &Request) -> Result<(), Problem> {
        let Some(refusal) = request.extensions().get::<Refusal>().copied() else { return Ok(()) };
        self.refused.count(LISTENER, refusal);
        let (status, rule) = (refusal.status(), refusal.detail());
        Err(match refusal {
            Refusal::Host => Problem::new(status, format!("{rule}, and those of EDGE_ALLOWED_HOSTS")),
            Refusal::Origin => Problem::new(
                status,
                format!("{rule}, and its media type is none of JSON; name one of {JSON_MEDIA_TYPES}"),
            ),
            Refusal::MediaType | Refusal::TransferEncoding => Problem::new(status, rule),
        })
    }
}

async fn catch_panic(handling: impl Future<Output = Result<Response, Infallible>>) -> Response {
    let response = AssertUnwindSafe(handling).catch_unwind().await;
    response.map_or_else(panicked, |response| response.unwrap_or_else(|never| match never {}))
}

/// The panic hook has logged the message already.
fn panicked(_panic: Box<dyn Any + Send + 'static>) -> Response {
    Problem::internal().into_response()
}

#[cfg(test)]
mod tests {
    use axum::{Router, body::Body, routing::get};
    use prometheus_client::registry::Registry;
    use tower::ServiceExt as _;

    use super::*;

    #[tokio::test]
    async fn a_panic_is_answered_by_a_problem_with_a_correlation_id() {
        async fn broken() {
            panic!("broken");
        }
        let durations = request_metrics::register(&mut Registry::default());
        let router: Router = Router::new().route("/", get(broken)).layer(RequestLayer::new(
            TraceTrust::Trust,
            durations,
            RefusedRequests::default(),
        ));
        let request = Request::builder().header("host", "a").body(Body::empty()).unwrap();
        let response = router.oneshot(request).await.unwrap();
        assert_eq!(response.status(), 500);
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        assert!(response.headers().contains_key("x-correlation-id"));
    }
}
