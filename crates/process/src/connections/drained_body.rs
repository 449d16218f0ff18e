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
use tokio::{
    runtime::Handle,
    time::{self, Instant, Sleep},
};

use super::activity::InFlightGuard;
use crate::pace::{BodyPace, Pace, SlowBody};

/// Twice the largest body by default, so that the sender of a far larger body can read the rejection too.
const MAX_BYTES: u64 = 128 << 20;
/// A slower sender has had time to read the response.
const MAX_TIME: Duration = Duration::from_secs(10);

/// The reason that a body was not read to its end.
#[derive(Debug, thiserror::Error)]
pub enum BodyReadError {
    #[error(transparent)]
    Slow(SlowBody),
    #[error(transparent)]
    Broken(hyper::Error),
}

/// The body of a request, read at its pace. If it is dropped before its end, a task reads on, up to 128 MiB or 10 s.
#[derive(Debug)]
pub struct DrainedBody {
    /// `None` after its end.
    body: Option<Incoming>,
    /// The sender waits for 100 Continue. The first read sends that, so the background task must not read.
    expects_continue: bool,
    pace: Pace,
    /// While the handler waits for the next bytes: since when, and until when it does.
    awaited: Option<(Instant, Pin<Box<Sleep>>)>,
    in_flight: InFlightGuard,
}

impl DrainedBody {
    /// Replaces the body of `request`.
    pub(super) fn wrap(
        request: Request<Incoming>,
        pace: BodyPace,
        in_flight: InFlightGuard,
    ) -> Request<Self> {
        let expects_continue = expects_continue(&request);
        let pace = Pace::new(pace);
        request.map(|body| Self { body: Some(body), expects_continue, pace, awaited: None, in_flight })
    }
}

impl DrainedBody {
    /// Waits for the next bytes; ready when they came too slowly.
    fn wait(&mut self, context: &mut Context<'_>) -> Poll<SlowBody> {
        let (_, until) = self.awaited.get_or_insert_with(|| {
            self.in_flight.activity().set_body_awaited(true);
            (Instant::now(), Box::pin(time::sleep(self.pace.left())))
        });
        ready!(until.as_mut().poll(context));
        self.end_wait();
        Poll::Ready(SlowBody)
    }

    /// Returns how long the wait was.
    fn end_wait(&mut self) -> Duration {
        self.awaited.take().map_or(Duration::ZERO, |(since, _)| {
            self.in_flight.activity().set_body_awaited(false);
            since.elapsed()
        })
    }
}

fn expects_continue<B>(request: &Request<B>) -> bool {
    let expects = |value: &http::HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"100-continue");
    request.version() > Version::HTTP_10 && request.headers().get(header::EXPECT).is_some_and(expects)
}

impl Body for DrainedBody {
    type Data = Bytes;
    type Error = BodyReadError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyReadError>>> {
        self.expects_continue = false;
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let Poll::Ready(frame) = Pin::new(body).poll_frame(context) else {
            return self.wait(context).map(|SlowBody| Some(Err(BodyReadError::Slow(SlowBody))));
        };
        let bytes = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref()).map_or(0, Bytes::len);
        let waited = self.end_wait();
        self.pace.record(waited, bytes);
        if !matches!(frame, Some(Ok(_))) {
            self.body = None;
        }
        Poll::Ready(frame.map(|frame| frame.map_err(BodyReadError::Broken)))
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
        self.end_wait();
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
                in_flight.activity().set_body_awaited(true);
                let _ = time::timeout(MAX_TIME, drain(body)).await;
                in_flight.activity().set_body_awaited(false);
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
