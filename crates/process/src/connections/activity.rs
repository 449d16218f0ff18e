//! The activity of one connection: what it waits for, and its timeouts.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use http::{Request, Version};
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

/// The beginning of every HTTP/2 connection.
const HTTP2_PREFACE: &[u8] = b"PRI ";
/// The bytes of the preface and of the smallest SETTINGS, which a client of HTTP/2 owes before any request (RFC 9113,
/// section 3.4).
const HTTP2_OPENING: usize = 24 + 9;
/// Time for the last response of a half-closed HTTP/2 connection to reach the socket.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);
/// A longer head takes one of a few permits. No listener accepts it, but the answer says so.
const LARGE_HEAD: usize = 40 << 10;

/// How long a connection may wait for its peer.
#[derive(Clone, Copy, Debug)]
pub(super) struct ConnectionTimeouts {
    /// From the connection's start, or from the first byte of a later head.
    pub(super) head: Duration,
    /// From the end of the last response.
    pub(super) idle: Duration,
    /// For the next piece of a response.
    pub(super) unread: Duration,
}

impl ConnectionTimeouts {
    /// A timeout that starts later than now also expires later than this.
    pub(super) fn shortest(self) -> Duration {
        self.head.min(self.idle).min(self.unread)
    }
}

/// The state of a connection's timeouts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TimeoutState {
    /// No timeout can have expired before this instant.
    CheckAt(Instant),
    Idle,
    SlowHead,
    /// The peer takes nothing of a response.
    Unread,
    /// The peer has closed its writing half, and every response has been written.
    Answered,
}

/// A connection that waits for its peer, and has to go where there are too many. The order is the one in which they go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Waiting {
    /// Whether a request of it has ended before.
    pub(super) was_served: bool,
    /// Whether it waits for the bodies of all of its requests, and not for a request.
    pub(super) for_bodies: bool,
    /// The time when a request began or ended last.
    pub(super) since: Instant,
}

/// The activity of one connection. Its lock is held for a few instructions at a time, and no other connection takes it.
#[derive(Clone, Debug)]
pub(super) struct Activity(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    half_closed: Notify,
    large_heads: Arc<Semaphore>,
}

#[derive(Debug)]
struct State {
    /// Requests whose response hyper has not taken whole, and bodies that are read to their end without a handler.
    in_flight: usize,
    /// The requests among them.
    requests: usize,
    /// Whether a request has ended: it was answered or cancelled.
    was_served: bool,
    /// Bodies that a handler waits for.
    awaited_bodies: usize,
    /// Responses of which the peer has to take a piece, with the time since then; the oldest first.
    unread: Vec<(u64, Instant)>,
    last_response: u64,
    /// The instant at which a request began or ended.
    progress_at: Instant,
    /// The instant since which the socket takes no more bytes.
    blocked_since: Option<Instant>,
    /// Over HTTP/2 bytes arrive without a request: PING, WINDOW_UPDATE and the like.
    http2: bool,
    idle_since: Instant,
    /// The instant at which the current head began, its bytes so far, and its permit if it is large.
    head_since: Option<Instant>,
    head_bytes: usize,
    large_head: Option<OwnedSemaphorePermit>,
    is_head_refused: bool,
    /// The instant at which the peer of an HTTP/2 connection closed its writing half.
    half_closed_since: Option<Instant>,
}

impl Activity {
    /// Starts the timeout of the first head. All connections share `large_heads`.
    pub(super) fn start(large_heads: Arc<Semaphore>) -> Self {
        let now = Instant::now();
        let state = State {
            in_flight: 0,
            requests: 0,
            was_served: false,
            awaited_bodies: 0,
            unread: Vec::new(),
            last_response: 0,
            progress_at: now,
            blocked_since: None,
            http2: false,
            idle_since: now,
            head_since: Some(now),
            head_bytes: 0,
            large_head: None,
            is_head_refused: false,
            half_closed_since: None,
        };
        Self(Arc::new(Shared { state: Mutex::new(state), half_closed: Notify::new(), large_heads }))
    }

    /// Counts a request whose head has arrived.
    pub(super) fn begin_request<B>(&self, request: &Request<B>) -> RequestGuard {
        let mut state = self.state();
        state.in_flight += 1;
        state.requests += 1;
        state.progress_at = Instant::now();
        state.head_since = None;
        state.head_bytes = 0;
        state.large_head = None;
        state.http2 = request.version() == Version::HTTP_2;
        drop(state);
        RequestGuard(InFlightGuard(self.clone()))
    }

    /// Notes that a handler waits for the next bytes of a body, or that it does no longer.
    pub(super) fn set_body_awaited(&self, awaited: bool) {
        let mut state = self.state();
        if awaited {
            state.awaited_bodies += 1;
        } else {
            state.awaited_bodies -= 1;
        }
    }

    /// Notes that the peer has to take a piece of a response. Returns the number to take the note back with.
    pub(super) fn begin_unread(&self) -> u64 {
        let mut state = self.state();
        state.last_response += 1;
        let number = state.last_response;
        state.unread.push((number, Instant::now()));
        number
    }

    pub(super) fn end_unread(&self, number: u64) {
        self.state().unread.retain(|(unread, _)| *unread != number);
    }

    /// Whether a large head found no permit.
    pub(super) fn is_head_refused(&self) -> bool {
        self.state().is_head_refused
    }

    /// Notes whether the socket takes bytes.
    pub(super) fn set_blocked(&self, is_blocked: bool) {
        self.state().blocked_since = is_blocked.then(Instant::now);
    }

    /// Whether the connection waits for its peer; `None` while Weir works for it, or it takes a response.
    pub(super) fn waiting(&self) -> Option<Waiting> {
        let state = self.state();
        let for_bodies = state.in_flight > 0;
        let is_waiting = !for_bodies || state.awaited_bodies >= state.requests;
        is_waiting.then_some(Waiting { was_served: state.was_served, for_bodies, since: state.progress_at })
    }

    /// Notes bytes that arrived. Returns whether the connection may go on: a large head needs a permit.
    pub(super) fn received(&self, bytes: &[u8]) -> bool {
        let mut state = self.state();
        state.http2 |= state.head_since.is_some() && bytes.starts_with(HTTP2_PREFACE);
        if state.in_flight == 0 && !state.http2 && state.head_since.is_none() {
            state.head_since = Some(Instant::now());
        }
        if state.in_flight > 0 {
            return true;
        }
        state.head_bytes += bytes.len();
        if state.http2 {
            if state.head_since.is_some() && state.head_bytes >= HTTP2_OPENING {
                state.head_since = None;
                state.idle_since = Instant::now();
            }
            return true;
        }
        if state.head_bytes > LARGE_HEAD && state.large_head.is_none() {
            state.large_head = Arc::clone(&self.0.large_heads).try_acquire_owned().ok();
            state.is_head_refused = state.large_head.is_none();
            return !state.is_head_refused;
        }
        true
    }

    /// Records the end of the peer's writing half. Returns whether hyper may see the end: over HTTP/2 hyper would
    /// drop the requests in flight, although the peer may still read.
    pub(super) fn end_of_input(&self) -> bool {
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
        let state = self.state();
        let unread_since =
            state.unread.first().map(|(_, since)| *since).into_iter().chain(state.blocked_since).min();
        let unread_until = unread_since.map(|since| since + timeouts.unread);
        if unread_until.is_some_and(|until| until <= now) {
            return TimeoutState::Unread;
        }
        let earliest = unread_until.into_iter().fold(now + timeouts.shortest(), Instant::min);
        if state.in_flight > 0 {
            let is_half_closed = state.half_closed_since.is_some();
            return TimeoutState::CheckAt(if is_half_closed {
                earliest.min(now + FLUSH_TIMEOUT)
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

/// A request, until its response is taken or it is cancelled.
#[derive(Debug)]
pub(super) struct RequestGuard(InFlightGuard);

impl RequestGuard {
    pub(super) fn in_flight(&self) -> &InFlightGuard {
        &self.0
    }
}

impl Drop for RequestGuard {
    fn drop(&mut self) {
        let mut state = self.0.activity().state();
        state.requests -= 1;
        state.was_served = true;
    }
}

/// Keeps a connection from being idle until its last clone is dropped.
#[derive(Debug)]
pub(super) struct InFlightGuard(Activity);

impl InFlightGuard {
    pub(super) fn activity(&self) -> &Activity {
        &self.0
    }
}

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
        state.progress_at = Instant::now();
        if state.in_flight == 0 {
            state.idle_since = state.progress_at;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUTS: ConnectionTimeouts = ConnectionTimeouts {
        head: Duration::from_secs(30),
        idle: Duration::from_secs(75),
        unread: Duration::from_secs(30),
    };
    const EXPIRED: ConnectionTimeouts =
        ConnectionTimeouts { head: Duration::ZERO, idle: Duration::ZERO, unread: Duration::from_secs(30) };

    fn request(version: Version) -> Request<()> {
        Request::builder().version(version).body(()).unwrap()
    }

    fn is_checked_within(state: TimeoutState, duration: Duration) -> bool {
        matches!(state, TimeoutState::CheckAt(at) if at <= Instant::now() + duration)
    }

    fn start() -> Activity {
        Activity::start(Arc::new(Semaphore::new(1)))
    }

    #[test]
    fn only_few_heads_may_be_large() {
        let large_heads = Arc::new(Semaphore::new(1));
        let [first, second] = [(); 2].map(|()| Activity::start(Arc::clone(&large_heads)));
        let part = vec![b'x'; LARGE_HEAD];
        assert!(first.received(&part) && second.received(&part));
        assert!(first.received(b"x"));
        assert!(!second.received(b"x"));
        drop(first.begin_request(&request(Version::HTTP_11)));
        assert!(second.received(b"x"));
    }

    #[test]
    fn the_first_head_and_every_later_one_has_a_timeout() {
        let activity = start();
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
        let activity = start();
        let in_flight = activity.begin_request(&request(Version::HTTP_11));
        let body = in_flight.in_flight().clone();
        activity.received(b"GET");
        drop(in_flight);
        assert!(matches!(activity.check(EXPIRED), TimeoutState::CheckAt(_)));
        drop(body);
        assert_eq!(activity.check(EXPIRED), TimeoutState::Idle);
    }

    #[test]
    fn bytes_between_requests_are_no_head_over_http_2() {
        let activity = start();
        activity.received(b"GET");
        assert_eq!(activity.check(EXPIRED), TimeoutState::SlowHead);
        drop(activity.begin_request(&request(Version::HTTP_2)));
        activity.received(b"GET");
        assert_eq!(activity.check(EXPIRED), TimeoutState::Idle);
    }
}
