//! The activity of one connection, and its two timeouts: for the head of a request, and for being idle.

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
/// Time for the last response of a half-closed HTTP/2 connection to reach the socket.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// The longest time that a connection without a request stays open.
#[derive(Clone, Copy, Debug)]
pub(super) struct ConnectionTimeouts {
    /// From the connection's start, or from the first byte of a later head.
    pub(super) head: Duration,
    /// From the end of the last response.
    pub(super) idle: Duration,
}

/// The state of a connection's timeouts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TimeoutState {
    /// No timeout can have expired before this instant.
    CheckAt(Instant),
    Idle,
    SlowHead,
    /// The peer has closed its writing half, and every response has been written.
    Answered,
}

/// The activity of one connection. Its lock is held for a few instructions at a time, and no other connection takes it.
#[derive(Clone, Debug)]
pub(super) struct Activity(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    half_closed: Notify,
}

#[derive(Debug)]
struct State {
    /// Requests whose response hyper has not taken whole, or whose body is not read to its end.
    in_flight: usize,
    /// Over HTTP/2 bytes arrive without a request: PING, WINDOW_UPDATE and the like.
    http2: bool,
    idle_since: Instant,
    /// The instant at which the current head began.
    head_since: Option<Instant>,
    /// The instant at which the peer of an HTTP/2 connection closed its writing half.
    half_closed_since: Option<Instant>,
}

impl Activity {
    /// Starts the timeout of the first head.
    pub(super) fn start() -> Self {
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

    /// Counts a request whose head has arrived.
    pub(super) fn begin_request<B>(&self, request: &Request<B>) -> InFlightGuard {
        let mut state = self.state();
        state.in_flight += 1;
        state.head_since = None;
        state.http2 = request.version() == Version::HTTP_2;
        drop(state);
        InFlightGuard(self.clone())
    }

    fn received(&self, bytes: &[u8]) {
        let mut state = self.state();
        state.http2 |= state.head_since.is_some() && bytes.starts_with(HTTP2_PREFACE);
        if state.in_flight == 0 && !state.http2 && state.head_since.is_none() {
            state.head_since = Some(Instant::now());
        }
    }

    /// Records the end of the peer's writing half. Returns whether hyper may see the end: over HTTP/2 hyper would
    /// drop the requests in flight, although the peer may still read.
    fn end_of_input(&self) -> bool {
        let mut state = self.state();
        if state.http2 && state.half_closed_since.is_none() {
            state.half_closed_since = Some(Instant::now());
            self.0.half_closed.notify_one();
        }
        !state.http2
    }

    /// Waits until the peer of an HTTP/2 connection has closed its writing half.
    pub(super) async fn half_closed(&self) {
        self.0.half_closed.notified().await;
    }

    /// Checks the timeouts.
    pub(super) fn check(&self, timeouts: ConnectionTimeouts) -> TimeoutState {
        let now = Instant::now();
        // A timeout that starts later also expires later than this.
        let earliest = now + timeouts.head.min(timeouts.idle);
        let state = self.state();
        if state.in_flight > 0 {
            return TimeoutState::CheckAt(if state.half_closed_since.is_some() {
                now + FLUSH_TIMEOUT
            } else {
                earliest
            });
        }
        let (expires, expired) = match (state.half_closed_since, state.head_since) {
            (Some(since), _) => (since.max(state.idle_since) + FLUSH_TIMEOUT, TimeoutState::Answered),
            (None, Some(since)) => (since + timeouts.head, TimeoutState::SlowHead),
            (None, None) => (state.idle_since + timeouts.idle, TimeoutState::Idle),
        };
        if expires <= now { expired } else { TimeoutState::CheckAt(expires.min(earliest)) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps a request in flight. The connection is not idle before the last clone is dropped.
#[derive(Debug)]
pub(super) struct InFlightGuard(Activity);

impl Clone for InFlightGuard {
    fn clone(&self) -> Self {
        self.0.state().in_flight += 1;
        Self(self.0.clone())
    }
}

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.in_flight -= 1;
        if state.in_flight == 0 {
            state.idle_since = Instant::now();
        }
    }
}

/// The body of a response. The request is in flight until hyper has taken all of it.
#[derive(Debug)]
pub(super) struct ResponseBody<B> {
    body: B,
    _in_flight: InFlightGuard,
}

impl<B> ResponseBody<B> {
    pub(super) fn wrap(response: Response<B>, in_flight: InFlightGuard) -> Response<Self> {
        response.map(|body| Self { body, _in_flight: in_flight })
    }
}

impl<B: Body + Unpin> Body for ResponseBody<B> {
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

/// The socket of a connection. It records the beginning of a head and the end of the input.
#[derive(Debug)]
pub(super) struct TrackedSocket {
    pub(super) stream: TcpStream,
    pub(super) activity: Activity,
}

impl AsyncRead for TrackedSocket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = ready!(Pin::new(&mut self.stream).poll_read(context, buffer));
        let arrived = &buffer.filled()[before..];
        if !arrived.is_empty() {
            self.activity.received(arrived);
        } else if read.is_ok() && buffer.remaining() > 0 && !self.activity.end_of_input() {
            return Poll::Pending;
        }
        Poll::Ready(read)
    }
}

impl AsyncWrite for TrackedSocket {
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

    const TIMEOUTS: ConnectionTimeouts =
        ConnectionTimeouts { head: Duration::from_secs(30), idle: Duration::from_secs(75) };
    const EXPIRED: ConnectionTimeouts = ConnectionTimeouts { head: Duration::ZERO, idle: Duration::ZERO };

    fn request(version: Version) -> Request<()> {
        Request::builder().version(version).body(()).unwrap()
    }

    fn is_checked_within(state: TimeoutState, duration: Duration) -> bool {
        matches!(state, TimeoutState::CheckAt(at) if at <= Instant::now() + duration)
    }

    #[test]
    fn the_first_head_and_every_later_one_has_a_timeout() {
        let activity = Activity::start();
        assert_eq!(activity.check(EXPIRED), TimeoutState::SlowHead);
        drop(activity.begin_request(&request(Version::HTTP_11)));
        assert_eq!(activity.check(EXPIRED), TimeoutState::Idle);
        activity.received(b"GET");
        let first_byte_at = activity.state().head_since;
        activity.received(b"GET");
        assert_eq!(activity.state().head_since, first_byte_at);
        assert_eq!(activity.check(EXPIRED), TimeoutState::SlowHead);
        assert!(is_checked_within(activity.check(TIMEOUTS), TIMEOUTS.head));
    }

    #[test]
    fn no_timeout_expires_while_a_request_is_in_flight() {
        let activity = Activity::start();
        let in_flight = activity.begin_request(&request(Version::HTTP_11));
        let body = in_flight.clone();
        activity.received(b"GET");
        drop(in_flight);
        assert!(matches!(activity.check(EXPIRED), TimeoutState::CheckAt(_)));
        drop(body);
        assert_eq!(activity.check(EXPIRED), TimeoutState::Idle);
    }

    #[test]
    fn bytes_between_requests_are_no_head_over_http_2() {
        let activity = Activity::start();
        activity.received(b"GET");
        assert_eq!(activity.check(EXPIRED), TimeoutState::SlowHead);
        drop(activity.begin_request(&request(Version::HTTP_2)));
        activity.received(b"GET");
        assert_eq!(activity.check(EXPIRED), TimeoutState::Idle);
    }
}
