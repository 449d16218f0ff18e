//! Request bodies that are read to their end, although the handler has dropped them.
//!
//! A sender may write all of its body before it reads the response. If the edge did not read on, that sender would
//! find a closed connection instead of the rejection. Reading costs a task and no memory: every piece is dropped on
//! arrival.

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

use super::activity::InFlightGuard;

/// Twice the largest body by default, so that the sender of a far larger body can read the rejection too.
const MAX_BYTES: u64 = 128 << 20;
/// A slower sender has had time to read the response.
const MAX_TIME: Duration = Duration::from_secs(10);

/// The body of a request. If it is dropped before its end, a task reads on, up to 128 MiB or 10 s.
#[derive(Debug)]
pub(super) struct DrainedBody {
    /// `None` after its end.
    body: Option<Incoming>,
    /// The sender waits for 100 Continue. The first read sends that, so the background task must not read.
    expects_continue: bool,
    in_flight: InFlightGuard,
}

impl DrainedBody {
    /// Replaces the body of `request`.
    pub(super) fn wrap(request: Request<Incoming>, in_flight: InFlightGuard) -> Request<Self> {
        let expects_continue = expects_continue(&request);
        request.map(|body| Self { body: Some(body), expects_continue, in_flight })
    }
}

fn expects_continue<B>(request: &Request<B>) -> bool {
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
        self.expects_continue = false;
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
        // Over HTTP/2 the end may be a frame of its own, after all announced bytes.
        let ended = body.is_end_stream() || body.size_hint().exact() == Some(0);
        if ended || self.expects_continue {
            return;
        }
        // Without a runtime the process is ending.
        if let Ok(runtime) = Handle::try_current() {
            let in_flight = self.in_flight.clone();
            runtime.spawn(async move {
                let _ = time::timeout(MAX_TIME, drain(body)).await;
                drop(in_flight);
            });
        }
    }
}

async fn drain(mut body: Incoming) {
    let mut left = MAX_BYTES;
    while let Some(Ok(frame)) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
        match left.checked_sub(bytes) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}
