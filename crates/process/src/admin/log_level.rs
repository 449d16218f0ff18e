//! `/log-level`: shows the log level of the process and changes it at run time, for callers on the same
//! machine only.

use axum::{
    Extension,
    body::Bytes,
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use serde::Deserialize;

use super::{AdminState, guard::problem};
use crate::connections::Peer;

/// The body of a change.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    /// A level or directives, in the syntax of LOG_LEVEL.
    level: String,
}

/// Returns the directives that are in force.
pub(super) async fn show(State(state): State<AdminState>) -> String {
    state.log_level.current() + "\n"
}

/// Applies the level or the directives of the body and returns the directives that are in force. Only callers
/// on the same machine or in the same container may do so, because a debug level of every library can fill
/// disks.
pub(super) async fn change(
    State(state): State<AdminState>,
    Extension(peer): Extension<Peer>,
    body: Bytes,
) -> Response {
    if !peer.address.ip().to_canonical().is_loopback() {
        return problem(StatusCode::FORBIDDEN, "the log level is changed from this machine alone");
    }
    let changed = serde_json::from_slice::<Change>(&body)
        .map_err(|error| format!(r#"the body must be JSON such as {{"level": "debug"}}: {error}"#))
        .and_then(|change| match change.level.trim() {
            "" => Err("the level is empty".to_owned()),
            level => state.log_level.set(level),
        });
    match changed {
        Ok(()) => (state.log_level.current() + "\n").into_response(),
        Err(error) => problem(StatusCode::BAD_REQUEST, &error),
    }
}
