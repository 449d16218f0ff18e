//! The layers around the admin handlers: they refuse requests of web pages, and add the headers of every answer.

use std::sync::Arc;

use axum::{
    Extension,
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use serde::Serialize;

use crate::{
    connections::Peer,
    http_guard::{self, JsonType, ListenerGuard, Refusal, RefusedRequests},
};

/// The admin listener: the `listener` label of its refusals.
pub(super) const LISTENER: &str = "admin";
/// The reasons of its refusals.
pub(super) const REASONS: [Refusal; 4] =
    [Refusal::Host, Refusal::Origin, Refusal::MediaType, Refusal::TransferEncoding];
const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

/// Answers a request, or refuses it.
pub(super) async fn answer(State(refused): State<RefusedRequests>, request: Request, next: Next) -> Response {
    // The connection has checked it.
    let checked = request.extensions().get::<Refusal>().copied().map_or(Ok(()), Err);
    let mut answer = pass(checked, request, next, &refused).await;
    http_guard::add_to_answer(answer.headers_mut());
    answer
}

/// Answers a request that changes the process. It takes one JSON value, and from a page of another origin nothing at
/// all.
pub(super) async fn answer_action(
    State(refused): State<RefusedRequests>,
    Extension(peer): Extension<Peer>,
    request: Request,
    next: Next,
) -> Response {
    let guard = ListenerGuard::new(peer.local, Arc::from([]));
    let checked = if guard.is_from_foreign_page(&request) {
        Err(Refusal::Origin)
    } else if JsonType::of(request.headers()) != Some(JsonType::Json) {
        Err(Refusal::MediaType)
    } else {
        Ok(())
    };
    pass(checked, request, next, &refused).await
}

async fn pass(
    checked: Result<(), Refusal>,
    request: Request,
    next: Next,
    refused: &RefusedRequests,
) -> Response {
    match checked {
        Ok(()) => next.run(request).await,
        Err(refusal) => {
            refused.count(LISTENER, refusal);
            problem(refusal.status(), refusal.detail())
        }
    }
}

/// An answer that tells a fault as a problem (RFC 9457).
pub(super) fn problem(status: StatusCode, detail: &str) -> Response {
    #[derive(Serialize)]
    struct Problem<'a> {
        r#type: &'static str,
        title: &'static str,
        status: u16,
        detail: &'a str,
    }
    let title = status.canonical_reason().unwrap_or("Error");
    let body = Problem { r#type: "about:blank", title, status: status.as_u16(), detail };
    (status, [(header::CONTENT_TYPE, PROBLEM_JSON)], axum::Json(body)).into_response()
}
