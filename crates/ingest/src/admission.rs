//! Admission of calls: reads each message as far as there is room, before it is decoded, and gives each call its deadline.

use std::{
    convert::Infallible,
    error::Error as _,
    net::{IpAddr, Ipv4Addr},
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use futures::{StreamExt as _, future::BoxFuture, stream};
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, BodyStream, StreamBody};
use tokio::time::Instant;
use tonic::{Status, body::Body, server::NamedService};
use tower::Service;
use weir_event::{ErrorType, EventMetrics};
use weir_process::{
    Claim, Overloaded, Reason, Room, SlowBody,
    connections::{BodyReadError, Peer},
    grpc_timeout, refuse,
};

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
    room: Room,
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
    pub(crate) fn new(service: S, room: Room, metrics: EventMetrics) -> Self {
        Self { service, room, metrics }
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
        let (room, metrics) = (self.room.clone(), self.metrics.clone());
        Box::pin(async move {
            match admit(&room, request).await {
                Ok((request, claim)) => {
                    let response = service.call(request).await;
                    drop(claim);
                    response
                }
                Err(status) => {
                    if Reason::of(&status) == Some(Reason::Overloaded) {
                        // Ingest did not read the call, so it counts as one event with the source `unknown`.
                        metrics.failed(weir_event::Service::Ingest, None, ErrorType::Overloaded, 1);
                    }
                    Ok(status.into_http())
                }
            }
        })
    }
}

/// Reads the whole message of a call, as far as there is room for it. The service decodes it then, and waits for nothing.
async fn admit(room: &Room, request: Request<Body>) -> Result<(Request<Body>, Claim), Status> {
    let deadline = Deadline::of(&request);
    let (mut head, body) = request.into_parts();
    let caller = head.extensions.get().map(|peer: &Peer| peer.address.ip());
    let mut claim = room.claim(caller.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)));
    let reading = read_message(&mut claim, body, deadline);
    let body = tokio::time::timeout(deadline.remaining(), reading).await.map_err(|_elapsed| late())??;
    claim.complete();
    head.extensions.insert(deadline);
    Ok((Request::from_parts(head, body), claim))
}

/// Reads a body to its end, into one piece of memory: the frames of a stranger may be tiny, and each would keep more
/// memory than it brings. A message that is announced over the limit stays unread, because the service refuses it by
/// that.
async fn read_message(claim: &mut Claim, mut body: Body, deadline: Deadline) -> Result<Body, Status> {
    let mut message = BytesMut::new();
    while announced(&message).is_none_or(|length| length <= MAX_DECODED_BYTES)
        && let Some(frame) = next_frame(claim, &mut body).await?
    {
        let Some(data) = frame.data_ref() else { continue };
        let needed = message.len() + data.len();
        if needed > PREFIX_BYTES + MAX_DECODED_BYTES {
            return Err(Status::out_of_range("the body has more than one message"));
        }
        if needed > message.capacity() {
            // What is announced takes no room: the memory doubles as it fills.
            let capacity = needed.max(2 * message.capacity()).min(MAX_DECODED_BYTES);
            // Half of the remaining time is for the work. The caller gains from an early refusal.
            let wait = MAX_WAIT.min(deadline.remaining() / 2);
            claim.grow_to(capacity, wait).await.map_err(|Overloaded| overloaded())?;
            message.reserve(capacity.max(needed) - message.len());
        }
        message.extend_from_slice(data);
    }
    let whole = stream::iter([Ok(Frame::data(message.freeze()))]).chain(BodyStream::new(body));
    Ok(Body::new(StreamBody::new(whole)))
}

/// The length of a message, by its prefix.
fn announced(message: &[u8]) -> Option<usize> {
    let [_compression, length @ ..] = *message.first_chunk::<PREFIX_BYTES>()?;
    usize::try_from(u32::from_be_bytes(length)).ok()
}

async fn next_frame(claim: &Claim, body: &mut Body) -> Result<Option<Frame<Bytes>>, Status> {
    tokio::select! {
        biased;
        frame = body.frame() => {
            frame.transpose().map_err(|error| if is_slow(&error) { late() } else { error })
        }
        () = claim.taken() => Err(overloaded()),
    }
}

fn is_slow(error: &Status) -> bool {
    let mut source = error.source();
    while let Some(error) = source {
        if matches!(error.downcast_ref(), Some(BodyReadError::Slow(_))) {
            return true;
        }
        source = error.source();
    }
    false
}

fn late() -> Status {
    Status::deadline_exceeded(SlowBody.to_string())
}

fn overloaded() -> Status {
    refuse(Reason::Overloaded, "the calls in flight fill INGEST_MAX_IN_FLIGHT_BYTES", &[])
}

#[cfg(test)]
mod tests;
