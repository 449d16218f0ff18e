//! Which path leads to which handler.

use std::sync::Arc;

use axum::{Router, routing::post};
use utoipa::OpenApi as _;
use utoipa_axum::{router::OpenApiRouter, routes};
use weir::process::{RoleReadiness, SharedRegistry};

use crate::{
    args::TraceTrust,
    health, openapi,
    reports::{Reports, demographics, events, revenue},
    requests::RequestDurations,
    surround::Surround,
    webhooks::{self, Webhooks},
    whereabouts::{self, Search},
};

/// Paths that senders know besides `/events`.
const ALIASES: [&str; 2] = ["/webhook", "/webhooks"];
/// Some senders end every path with a slash. The description of the API tells this in a sentence.
const SLASHED: [&str; 3] = ["/events/", "/webhook/", "/webhooks/"];

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
    let router =
        SLASHED.into_iter().fold(router, |router, path| router.route(path, post(webhooks::post_events)));
    openapi::refuse_heads(&mut document);
    let surround = Surround { trust: state.trace_trust, durations: state.durations.clone() };
    router.merge(openapi::routes(document)).with_state(Arc::new(state)).layer(surround)
}
