//! Reads what is left of a body that no handler wants.
//!
//! A sender that writes all of its body before it reads would otherwise find the connection closed, and not the
//! refusal. Reading costs a task and holds nothing: every piece is dropped as it comes.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Version, header};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::{runtime::Handle, time};

use super::activity::InFlight;

/// Twice the largest body by default, so that a refusal of one that is far too large is read too.
const MOST_BYTES: u64 = 128 << 20;
/// A sender that takes longer has had time to read the answer.
const MOST_TIME: Duration = Duration::from_secs(10);

/// The body of a request. Dropped before its end, it is read on in the background, up to 128 MiB or 10 s.
#[derive(Debug)]
pub(super) struct DrainedBody {
    /// `None` once it has ended.
    body: Option<Incoming>,
    /// The sender waits for 100 Continue, which reading would send.
    waits: bool,
    in_flight: InFlight,
}

impl DrainedBody {
    /// Replaces the body of a request.
    pub(super) fn of(request: Request<Incoming>, in_flight: InFlight) -> Request<Self> {
        let waits = waits(&request);
        request.map(|body| Self { body: Some(body), waits, in_flight })
    }
}

fn waits<B>(request: &Request<B>) -> bool {
    let expects = |value: &http::HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"100-continue");
    request.version() > Version::HTTP_10 && request.headers().get(header::EXPECT).is_some_and(expects)
}

impl Body for DrainedBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        self.waits = false;
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(body).poll_frame(context));
        if !matches!(frame, Some(Ok(_))) {
            self.body = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for DrainedBody {
    fn drop(&mut self) {
        let Some(body) = self.body.take() else { return };
        // Over HTTP/2 the end may be a frame of its own, behind all bytes that were announced.
        let ended = body.is_end_stream() || body.size_hint().exact() == Some(0);
        if ended || self.waits {
            return;
        }
        // Outside a runtime the process is at its end.
        if let Ok(runtime) = Handle::try_current() {
            let in_flight = self.in_flight.clone();
            runtime.spawn(async move {
                let _ = time::timeout(MOST_TIME, drain(body)).await;
                drop(in_flight);
            });
        }
    }
}

async fn drain(mut body: Incoming) {
    let mut left = MOST_BYTES;
    while let Some(Ok(frame)) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
        match left.checked_sub(bytes) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}
