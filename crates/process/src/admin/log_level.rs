//! `/log-level`: what the process logs, looked at and changed while it runs, from its own machine alone.

use std::net::SocketAddr;

use axum::{
    extract::{ConnectInfo, State},
    http::StatusCode,
    response::{IntoResponse as _, Response},
};

use super::state::AdminState;

/// The directives that are in force.
pub(super) async fn shown(State(state): State<AdminState>) -> String {
    state.log_level.shown() + "\n"
}

/// Logs by what the body says from now on: a level or directives, as LOG_LEVEL takes them. Whoever is on the machine
/// or in the container may do that, and nobody else: a debug level of every library is a way to fill disks.
pub(super) async fn change(
    State(state): State<AdminState>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    body: String,
) -> Response {
    if !peer.ip().to_canonical().is_loopback() {
        return (StatusCode::FORBIDDEN, "the log level is changed from this machine alone\n").into_response();
    }
    match state.log_level.set(body.trim()) {
        Ok(()) => (state.log_level.shown() + "\n").into_response(),
        Err(mistake) => (StatusCode::BAD_REQUEST, mistake + "\n").into_response(),
    }
}
