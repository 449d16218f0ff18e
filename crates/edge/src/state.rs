//! The state of the router. Each handler extracts the part that it needs.

use std::sync::Arc;

use axum::extract::FromRef;
use weir_process::{RoleReadiness, SharedRegistry};

use crate::{event_lookup::EventLookup, reports::Reports, webhooks::Webhooks};

/// The services behind the handlers. Cheap to clone, which axum does for every request.
#[derive(Clone, Debug)]
pub(crate) struct EdgeState {
    pub(crate) webhooks: Arc<Webhooks>,
    pub(crate) reports: Arc<Reports>,
    pub(crate) event_lookup: Arc<EventLookup>,
    pub(crate) readiness: RoleReadiness,
    pub(crate) registry: SharedRegistry,
}

impl FromRef<EdgeState> for Arc<Webhooks> {
    fn from_ref(state: &EdgeState) -> Self {
        Self::clone(&state.webhooks)
    }
}

impl FromRef<EdgeState> for Arc<Reports> {
    fn from_ref(state: &EdgeState) -> Self {
        Self::clone(&state.reports)
    }
}

impl FromRef<EdgeState> for Arc<EventLookup> {
    fn from_ref(state: &EdgeState) -> Self {
        Self::clone(&state.event_lookup)
    }
}

impl FromRef<EdgeState> for RoleReadiness {
    fn from_ref(state: &EdgeState) -> Self {
        state.readiness.clone()
    }
}

impl FromRef<EdgeState> for SharedRegistry {
    fn from_ref(state: &EdgeState) -> Self {
        state.registry.clone()
    }
}
