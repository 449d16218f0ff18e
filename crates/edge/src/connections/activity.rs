//! A connection between and during requests, and the bounds on its time: for a head, and for being idle.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use http::{Request, Response, Version};
use hyper::body::{Body, Frame, SizeHint};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::Notify,
    time::Instant,
};

/// The beginning of every HTTP/2 connection.
const HTTP2_PREFACE: &[u8] = b"PRI ";
/// What the last answer to a half-closed HTTP/2 connection has to get into the socket.
const PARTING: Duration = Duration::from_secs(1);

/// How long a connection without a request may stay.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// From the connection's start, or from the first byte of a later head.
    pub(super) head: Duration,
    /// From the end of the last answer.
    pub(super) idle: Duration,
}

/// What a connection's timer finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Nothing; there may be something then, and not before.
    Later(Instant),
    Idle,
    SlowHead,
    /// The peer has closed its writing half, and has every answer.
    Answered,
}

/// What one connection does. The lock is the connection's own, and held for a few instructions.
#[derive(Clone, Debug)]
pub(super) struct Activity(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    half_closed: Notify,
}

#[derive(Debug)]
struct State {
    /// Requests, each until hyper has taken the last of its answer and its body is read.
    in_flight: usize,
    /// Where bytes come without a request: PING, WINDOW_UPDATE and the like.
    http2: bool,
    idle_since: Instant,
    /// When the head began that is on its way.
    head_since: Option<Instant>,
    /// When the peer of an HTTP/2 connection closed its writing half.
    half_closed_since: Option<Instant>,
}

impl Activity {
    /// The first head counts from here.
    pub(super) fn begin() -> Self {
        let now = Instant::now();
        let state = State {
            in_flight: 0,
            http2: false,
            idle_since: now,
            head_since: Some(now),
            half_closed_since: None,
        };
        Self(Arc::new(Shared { state: Mutex::new(state), half_closed: Notify::new() }))
    }

    /// Counts a request whose head has come.
    pub(super) fn request<B>(&self, request: &Request<B>) -> InFlight {
        let mut state = self.state();
        state.in_flight += 1;
        state.head_since = None;
        state.http2 = request.version() == Version::HTTP_2;
        drop(state);
        InFlight(self.clone())
    }

    fn received(&self, bytes: &[u8]) {
        let mut state = self.state();
        state.http2 |= state.head_since.is_some() && bytes.starts_with(HTTP2_PREFACE);
        if state.in_flight == 0 && !state.http2 && state.head_since.is_none() {
            state.head_since = Some(Instant::now());
        }
    }

    /// Notes that nothing more will come. Returns whether hyper may know: over HTTP/2 it would give up what is in
    /// flight, and the peer may still read.
    fn ended(&self) -> bool {
        let mut state = self.state();
        if state.http2 && state.half_closed_since.is_none() {
            state.half_closed_since = Some(Instant::now());
            self.0.half_closed.notify_one();
        }
        !state.http2
    }

    /// Returns when the peer of an HTTP/2 connection has closed its writing half.
    pub(super) async fn half_closed(&self) {
        self.0.half_closed.notified().await;
    }

    pub(super) fn due(&self, patience: Patience) -> Due {
        let now = Instant::now();
        // Whatever begins from now on lasts at least as long.
        let least = now + patience.head.min(patience.idle);
        let state = self.state();
        if state.in_flight > 0 {
            return Due::Later(if state.half_closed_since.is_some() { now + PARTING } else { least });
        }
        let (ends, due) = match (state.half_closed_since, state.head_since) {
            (Some(since), _) => (since.max(state.idle_since) + PARTING, Due::Answered),
            (None, Some(since)) => (since + patience.head, Due::SlowHead),
            (None, None) => (state.idle_since + patience.idle, Due::Idle),
        };
        if ends <= now { due } else { Due::Later(ends.min(least)) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A part of a request that is under way; the connection is not idle before the last one is dropped.
#[derive(Debug)]
pub(super) struct InFlight(Activity);

impl Clone for InFlight {
    fn clone(&self) -> Self {
        self.0.state().in_flight += 1;
        Self(self.0.clone())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.in_flight -= 1;
        if state.in_flight == 0 {
            state.idle_since = Instant::now();
        }
    }
}

/// The body of an answer, which is in flight until hyper has taken the last of it.
#[derive(Debug)]
pub(super) struct Answer<B> {
    body: B,
    _in_flight: InFlight,
}

impl<B> Answer<B> {
    pub(super) fn of(response: Response<B>, in_flight: InFlight) -> Response<Self> {
        response.map(|body| Self { body, _in_flight: in_flight })
    }
}

impl<B: Body + Unpin> Body for Answer<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A connection's socket, which notes when a head begins.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) stream: TcpStream,
    pub(super) activity: Activity,
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let held = buffer.filled().len();
        let read = ready!(Pin::new(&mut self.stream).poll_read(context, buffer));
        let came = &buffer.filled()[held..];
        if !came.is_empty() {
            self.activity.received(came);
        } else if read.is_ok() && buffer.remaining() > 0 && !self.activity.ended() {
            return Poll::Pending;
        }
        Poll::Ready(read)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience = Patience { head: Duration::from_secs(30), idle: Duration::from_secs(75) };
    const OVER: Patience = Patience { head: Duration::ZERO, idle: Duration::ZERO };

    fn request(version: Version) -> Request<()> {
        Request::builder().version(version).body(()).unwrap()
    }

    fn ends_within(due: Due, duration: Duration) -> bool {
        matches!(due, Due::Later(at) if at <= Instant::now() + duration)
    }

    #[test]
    fn the_first_head_and_every_begun_one_is_bounded() {
        let activity = Activity::begin();
        assert_eq!(activity.due(OVER), Due::SlowHead);
        drop(activity.request(&request(Version::HTTP_11)));
        assert_eq!(activity.due(OVER), Due::Idle);
        activity.received(b"GET");
        let began = activity.state().head_since;
        activity.received(b"GET");
        assert_eq!(activity.state().head_since, began);
        assert_eq!(activity.due(OVER), Due::SlowHead);
        assert!(ends_within(activity.due(PATIENCE), PATIENCE.head));
    }

    #[test]
    fn nothing_is_due_while_a_request_is_in_flight() {
        let activity = Activity::begin();
        let in_flight = activity.request(&request(Version::HTTP_11));
        let body = in_flight.clone();
        activity.received(b"GET");
        drop(in_flight);
        assert!(matches!(activity.due(OVER), Due::Later(_)));
        drop(body);
        assert_eq!(activity.due(OVER), Due::Idle);
    }

    #[test]
    fn what_comes_over_http_2_between_requests_is_no_head() {
        let activity = Activity::begin();
        activity.received(b"GET");
        assert_eq!(activity.due(OVER), Due::SlowHead);
        drop(activity.request(&request(Version::HTTP_2)));
        activity.received(b"GET");
        assert_eq!(activity.due(OVER), Due::Idle);
    }
}
