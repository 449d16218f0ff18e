//! Admission of calls: bounds the bytes in flight before a call is decoded, and gives each call its deadline.

use std::{
    convert::Infallible,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Buf as _, Bytes, BytesMut};
use futures::{StreamExt as _, future::BoxFuture, stream};
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, BodyStream, StreamBody};
use tokio::time::Instant;
use tonic::{Status, body::Body, server::NamedService};
use tower::Service;
use weir_event::{ErrorType, EventMetrics};
use weir_process::{Budget, Reason, Reservation, grpc_timeout, refuse};

use crate::request::MAX_DECODED_BYTES;

/// The deadline of a call whose caller sets none.
const DEFAULT_DEADLINE: Duration = Duration::from_secs(30);
/// The longest wait of a call for room. It outlasts a short burst, and leaves the caller time to try another instance.
const MAX_WAIT: Duration = Duration::from_secs(2);
/// The compression flag and the length in front of a gRPC message.
const PREFIX_BYTES: usize = 5;

/// The time when the caller stops waiting. Every admitted call has it in its extensions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Instant);

/// A gRPC service behind a bound on its bytes in flight.
#[derive(Clone, Debug)]
pub(crate) struct Admission<S> {
    service: S,
    budget: Budget,
    metrics: EventMetrics,
}

impl Deadline {
    fn of(request: &Request<Body>) -> Self {
        Self(Instant::now() + grpc_timeout::effective(request.headers(), DEFAULT_DEADLINE))
    }

    fn remaining(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// The time that work for the call may take. A tenth of the remaining time is kept for the response, so that the
    /// caller still receives it.
    pub(crate) fn work_time(self) -> Duration {
        self.remaining().mul_f64(0.9)
    }
}

impl Default for Deadline {
    fn default() -> Self {
        Self(Instant::now() + DEFAULT_DEADLINE)
    }
}

impl<S> Admission<S> {
    pub(crate) fn new(service: S, budget: Budget, metrics: EventMetrics) -> Self {
        Self { service, budget, metrics }
    }
}

impl<S: NamedService> NamedService for Admission<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for Admission<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        // `poll_ready` made this instance ready; a clone of it may not be.
        let clone = self.service.clone();
        let mut service = std::mem::replace(&mut self.service, clone);
        let (budget, metrics) = (self.budget.clone(), self.metrics.clone());
        Box::pin(async move {
            match admit(&budget, request).await {
                Ok((request, room)) => {
                    let response = service.call(request).await;
                    drop(room);
                    response
                }
                Err(status) => {
                    // Ingest did not read the call, so it counts as one event with the source `unknown`.
                    metrics.failed(weir_event::Service::Ingest, None, ErrorType::Overloaded, 1);
                    Ok(status.into_http())
                }
            }
        })
    }
}

/// Reserves room for the whole message of a call. It reserves all bytes at once, so that half-read calls never wait for
/// each other.
async fn admit(budget: &Budget, request: Request<Body>) -> Result<(Request<Body>, Reservation), Status> {
    let deadline = Deadline::of(&request);
    let (mut head, body) = request.into_parts();
    let (length, body) = message_length(body).await;
    let mut room = budget.reservation();
    // The transport refuses a message over the limit before reading it, so it needs no room.
    let bytes = length.filter(|bytes| *bytes <= MAX_DECODED_BYTES).unwrap_or_default();
    // Half of the remaining time is for the work. The caller gains from an early refusal.
    let wait = MAX_WAIT.min(deadline.remaining() / 2);
    budget.cover(&mut room, bytes, wait).await.map_err(|_| {
        refuse(Reason::Overloaded, "the calls in flight fill INGEST_MAX_IN_FLIGHT_BYTES", &[])
    })?;
    head.extensions.insert(deadline);
    Ok((Request::from_parts(head, body), room))
}

/// The length in the prefix of the message, if the body has one, and the unchanged body.
async fn message_length(mut body: Body) -> (Option<usize>, Body) {
    let (mut frames, mut prefix) = (Vec::new(), BytesMut::new());
    while prefix.len() < PREFIX_BYTES
        && let Some(frame) = body.frame().await
    {
        if let Ok(data) = frame.as_ref().map(Frame::data_ref) {
            prefix.extend(data.into_iter().flat_map(|data: &Bytes| data.iter().take(PREFIX_BYTES)));
        }
        // The body of a broken connection never ends: it returns the same error at every poll.
        let broken = frame.is_err();
        frames.push(frame);
        if broken {
            break;
        }
    }
    let length = (prefix.len() >= PREFIX_BYTES).then(|| {
        prefix.advance(1);
        usize::try_from(prefix.get_u32()).unwrap_or(usize::MAX)
    });
    let whole = stream::iter(frames).chain(BodyStream::new(body));
    (length, Body::new(StreamBody::new(whole)))
}

#[cfg(test)]
mod tests;
