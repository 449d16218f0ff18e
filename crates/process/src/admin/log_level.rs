//! `/log-level`: shows the log level of the process and changes it at run time, for callers on the same
//! machine only.

use axum::{
    Extension,
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};

use super::AdminState;
use crate::connections::Peer;

/// Returns the directives that are in force.
pub(super) async fn show(State(state): State<AdminState>) -> String {
    state.log_level.current() + "\n"
}

/// Applies the level or the directives of the body, in the syntax of LOG_LEVEL. Only callers on the same
/// machine or in the same container may do so, because a debug level of every library can fill disks.
pub(super) async fn change(
    State(state): State<AdminState>,
    Extension(Peer(peer)): Extension<Peer>,
    body: String,
) -> Response {
    if !peer.ip().to_canonical().is_loopback() {
        return (StatusCode::FORBIDDEN, "the log level is changed from this machine alone\n").into_response();
    }
    match state.log_level.set(body.trim()) {
        Ok(()) => (state.log_level.current() + "\n").into_response(),
        Err(error) => (StatusCode::BAD_REQUEST, error + "\n").into_response(),
    }
}
