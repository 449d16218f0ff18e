//! The paths of the edge and their handlers.

use std::sync::Arc;

use axum::{
    Router,
    routing::{MethodRouter, post},
};
use utoipa::OpenApi as _;
use utoipa_axum::{router::OpenApiRouter, routes};
use weir_process::{RoleReadiness, SharedRegistry};

use crate::{
    args::TraceTrust,
    event_lookup::{self, Search},
    health,
    middleware::Surround,
    middleware::request_metrics::RequestDurations,
    openapi,
    reports::{Reports, demographics, events, revenue},
    webhooks::{self, Webhooks},
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
    pub(crate) trace_trust: TraceTrust,
    pub(crate) durations: RequestDurations,
}

/// Every route of the edge.
pub(crate) fn router(state: EdgeState) -> Router {
    let (router, mut document) = OpenApiRouter::with_openapi(openapi::Document::openapi())
        .routes(routes!(webhooks::post_events))
        .routes(routes!(event_lookup::get_event))
        .routes(routes!(events::get_event_report))
        .routes(routes!(revenue::get_revenue_report))
        .routes(routes!(demographics::get_demographics_report))
        .routes(routes!(health::live))
        .routes(routes!(health::ready))
        .routes(routes!(health::metrics))
        .split_for_parts();
    // Some senders end every path with a slash. The description of the API tells this in a sentence.
    let router = ALIASES.into_iter().fold(router.route("/events/", take()), |router, alias| {
        openapi::alias(&mut document, "/events", alias);
        router.route(alias, take()).route(&format!("{alias}/"), take())
    });
    openapi::refuse_heads(&mut document);
    let surround = Surround { trust: state.trace_trust, durations: state.durations.clone() };
    router.merge(openapi::routes(document)).with_state(Arc::new(state)).layer(surround)
}

fn take() -> MethodRouter<Arc<EdgeState>> {
    post(webhooks::post_events)
}
