//! Lets calls in as long as there is room for their bytes, before they are decoded; and tells each how long it has.

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
use weir_event::{ErrorType, Metrics};
use weir_process::{Budget, Reason, Reservation, grpc_timeout, refuse};

use crate::request::MAX_DECODED_BYTES;

/// How long a call may take whose caller sets no deadline.
const MOST_TIME: Duration = Duration::from_secs(30);
/// How long a call waits for room: longer than a moment's crowd, and short enough to try another instance.
const PATIENCE: Duration = Duration::from_secs(2);
/// The compression flag and the length that stand before a gRPC message.
const PREFIX_BYTES: usize = 5;

/// When the caller stops waiting; in the extensions of every call that was let in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Instant);

/// A gRPC service behind a bound on the bytes that it works on at once.
#[derive(Clone, Debug)]
pub(crate) struct Admission<S> {
    service: S,
    budget: Budget,
    metrics: Metrics,
}

impl Deadline {
    fn of(request: &Request<Body>) -> Self {
        Self(Instant::now() + grpc_timeout::effective(request.headers(), MOST_TIME))
    }

    fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// How long work for the call may take, so that its answer is still heard: a tenth of the time is kept for the
    /// way back.
    pub(crate) fn work(self) -> Duration {
        self.left().mul_f64(0.9)
    }
}

impl Default for Deadline {
    fn default() -> Self {
        Self(Instant::now() + MOST_TIME)
    }
}

impl<S> Admission<S> {
    pub(crate) fn new(service: S, budget: Budget, metrics: Metrics) -> Self {
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
        // The clone may not be ready; this one is.
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
                    // A call that was not read counts as one event of nobody knows whom.
                    metrics.failed(weir_event::Service::Ingest, None, ErrorType::Overloaded, 1);
                    Ok(status.into_http())
                }
            }
        })
    }
}

/// The call with room for all of its message: it is reserved at once, so that calls which are half read never wait
/// for each other.
async fn admit(budget: &Budget, request: Request<Body>) -> Result<(Request<Body>, Reservation), Status> {
    let deadline = Deadline::of(&request);
    let (mut head, body) = request.into_parts();
    let (announced, body) = announced(body).await;
    let mut room = budget.reservation();
    // A message over the limit of a call is refused before it is read.
    let bytes = announced.filter(|bytes| *bytes <= MAX_DECODED_BYTES).unwrap_or_default();
    // Half of what is left is for the work: it is better to hear soon that there is no room than late.
    let patience = PATIENCE.min(deadline.left() / 2);
    budget.cover(&mut room, bytes, patience).await.map_err(|_| {
        refuse(Reason::Overloaded, "the calls in flight fill INGEST_MAX_IN_FLIGHT_BYTES", &[])
    })?;
    head.extensions.insert(deadline);
    Ok((Request::from_parts(head, body), room))
}

/// The length of the message, where the body has one, and the body as it was.
async fn announced(mut body: Body) -> (Option<usize>, Body) {
    let (mut frames, mut prefix) = (Vec::new(), BytesMut::new());
    while prefix.len() < PREFIX_BYTES
        && let Some(frame) = body.frame().await
    {
        if let Ok(data) = frame.as_ref().map(Frame::data_ref) {
            prefix.extend(data.into_iter().flat_map(|data: &Bytes| data.iter().take(PREFIX_BYTES)));
        }
        // The body of a connection that broke never ends: it says so as often as it is asked.
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
