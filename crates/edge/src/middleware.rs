//! The layer around every handler: its span and correlation id, its duration, a check of the request's head, and an
//! answer for a handler that panics.
//!
//! One layer: each of axum's own costs a request several allocations, which posts of single events feel.

pub(crate) mod request_metrics;

mod correlation;
mod head;
mod request_span;

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

use self::{
    correlation::Correlated,
    request_metrics::{Measured, RequestDurations},
};
use crate::{args::TraceTrust, problem::Problem};

/// The layer.
#[derive(Clone, Debug)]
pub(crate) struct Surround {
    pub(crate) trust: TraceTrust,
    pub(crate) durations: RequestDurations,
}

/// A handler inside it.
#[derive(Clone, Debug)]
pub(crate) struct Surrounded<S> {
    handler: S,
    surround: Surround,
}

impl<S> Layer<S> for Surround {
    type Service = Surrounded<S>;

    fn layer(&self, handler: S) -> Surrounded<S> {
        Surrounded { handler, surround: self.clone() }
    }
}

impl<S> Service<Request> for Surrounded<S>
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
        let correlated = Correlated::begin(&mut request, self.surround.trust);
        let measured = Measured::begin(&request);
        let durations = self.surround.durations.clone();
        let (exported, logged) = correlated.surroundings();
        let answering = head::check(&request)
            .map(|()| exported.in_scope(|| logged.clone().within_sync(|| self.handler.call(request))));
        let answered = async move {
            let response = match answering {
                Ok(answering) => answer(answering).await,
                Err(problem) => problem.into_response(),
            };
            measured.end(&durations, response.status());
            Ok(correlated.end(response))
        };
        Box::pin(logged.within(answered).instrument(exported))
    }
}

async fn answer(answering: impl Future<Output = Result<Response, Infallible>>) -> Response {
    let answer = AssertUnwindSafe(answering).catch_unwind().await;
    answer.map_or_else(panicked, |answer| answer.unwrap_or_else(|never| match never {}))
}

/// What the panic says is in the log already.
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
    async fn a_panic_is_a_problem_with_a_correlation_id() {
        async fn broken() {
            panic!("broken");
        }
        let durations = request_metrics::register(&mut Registry::default());
        let router: Router =
            Router::new().route("/", get(broken)).layer(Surround { trust: TraceTrust::Trust, durations });
        let request = Request::builder().header("host", "a").body(Body::empty()).unwrap();
        let response = router.oneshot(request).await.unwrap();
        assert_eq!(response.status(), 500);
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        assert!(response.headers().contains_key("x-correlation-id"));
    }
}
