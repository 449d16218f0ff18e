//! Which path leads to which handler, and the layers around all of them.

use std::{any::Any, sync::Arc};

use axum::{
    Router, middleware,
    response::{IntoResponse as _, Response},
    routing::post,
};
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::OpenApi as _;
use utoipa_axum::{router::OpenApiRouter, routes};
use weir::process::{RoleReadiness, SharedRegistry};

use crate::{
    correlate::correlate,
    health, openapi,
    problem::Problem,
    reports::{Reports, demographics, events, revenue},
    requests::{self, RequestDurations},
    webhooks::{self, Webhooks},
    whereabouts::{self, Search},
};

/// Paths that senders know besides `/events`.
const ALIASES: [&str; 2] = ["/webhook", "/webhooks"];

/// What the handlers share.
#[derive(Debug)]
pub(crate) struct EdgeState {
    pub(crate) webhooks: Webhooks,
    pub(crate) reports: Reports,
    pub(crate) search: Search,
    pub(crate) readiness: RoleReadiness,
    pub(crate) registry: SharedRegistry,
    pub(crate) durations: RequestDurations,
}

/// Every route of the edge.
pub(crate) fn router(state: EdgeState) -> Router {
    let (router, mut document) = OpenApiRouter::with_openapi(openapi::Document::openapi())
        .routes(routes!(webhooks::post_events))
        .routes(routes!(whereabouts::get_event))
        .routes(routes!(events::get_event_report))
        .routes(routes!(revenue::get_revenue_report))
        .routes(routes!(demographics::get_demographics_report))
        .routes(routes!(health::live))
        .routes(routes!(health::ready))
        .routes(routes!(health::metrics))
        .split_for_parts();
    let router = ALIASES.into_iter().fold(router, |router, alias| {
        openapi::alias(&mut document, "/events", alias);
        router.route(alias, post(webhooks::post_events))
    });
    let measure = middleware::from_fn_with_state(state.durations.clone(), requests::measure);
    router
        .merge(openapi::routes(document))
        .with_state(Arc::new(state))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(measure)
        .layer(middleware::from_fn(correlate))
}

/// What the panic says is in the log already.
fn panicked(_panic: Box<dyn Any + Send + 'static>) -> Response {
    Problem::internal().into_response()
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, routing::get};
    use http::Request;
    use tower::ServiceExt as _;

    use super::*;

    #[tokio::test]
    async fn a_panic_is_a_problem_with_a_correlation_id() {
        async fn broken() {
            panic!("broken");
        }
        let router: Router = Router::new()
            .route("/", get(broken))
            .layer(CatchPanicLayer::custom(panicked))
            .layer(middleware::from_fn(correlate));
        let response = router.oneshot(Request::new(Body::empty())).await.unwrap();
        assert_eq!(response.status(), 500);
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        assert!(response.headers().contains_key("x-correlation-id"));
    }
}
