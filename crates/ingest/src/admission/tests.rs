//! Calls that arrive when there is no room.

use std::{
    net::Ipv4Addr,
    sync::atomic::{AtomicUsize, Ordering},
};

use http_body_util::Full;
use prometheus_client::registry::Registry;
use tokio::sync::Semaphore;

use super::*;

const MESSAGE_BYTES: usize = 8192;

/// Responds with the bytes that it read, once the semaphore has a permit.
#[derive(Clone)]
struct GatedEcho(std::sync::Arc<Semaphore>);

impl Service<Request<Body>> for GatedEcho {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let gate = std::sync::Arc::clone(&self.0);
        Box::pin(async move {
            assert!(request.extensions().get::<Deadline>().is_some());
            let body = request.into_body().collect().await.unwrap().to_bytes();
            gate.acquire().await.unwrap().forget();
            Ok(Response::new(Body::new(Full::new(body).map_err(|never| match never {}))))
        })
    }
}

fn admission() -> (Admission<GatedEcho>, std::sync::Arc<Semaphore>, Room) {
    let gate = std::sync::Arc::new(Semaphore::new(0));
    let room = Room::new(MESSAGE_BYTES + PREFIX_BYTES);
    let metrics = EventMetrics::register(&mut Registry::default());
    (Admission::new(GatedEcho(gate.clone()), room.clone(), metrics), gate, room)
}

/// A call whose prefix arrives in pieces.
fn call(timeout: &str) -> Request<Body> {
    let mut message = vec![0_u8];
    message.extend((MESSAGE_BYTES as u32).to_be_bytes());
    message.resize(PREFIX_BYTES + MESSAGE_BYTES, 7);
    let pieces = [&message[..2], &message[2..3], &message[3..]].map(Bytes::copy_from_slice);
    let body = StreamBody::new(stream::iter(pieces.map(|piece| Ok::<_, Status>(Frame::data(piece)))));
    Request::builder().header("grpc-timeout", timeout).body(Body::new(body)).unwrap()
}

#[tokio::test]
async fn a_body_that_breaks_is_polled_once() {
    let polls = std::sync::Arc::new(AtomicUsize::new(0));
    let counter = std::sync::Arc::clone(&polls);
    let errors = stream::repeat_with(move || {
        counter.fetch_add(1, Ordering::Relaxed);
        Err::<Frame<Bytes>, _>(Status::unavailable("broken pipe"))
    });
    let mut claim = Room::new(MESSAGE_BYTES).claim(Ipv4Addr::LOCALHOST.into());
    let broken = Body::new(StreamBody::new(errors.take(100)));
    let error = read_message(&mut claim, broken, Deadline::default()).await.unwrap_err();
    assert_eq!((error.message(), polls.load(Ordering::Relaxed)), ("broken pipe", 1));
}

#[tokio::test]
async fn what_is_announced_takes_no_room() {
    let room = Room::new(1 << 20);
    let mut claim = room.claim(Ipv4Addr::LOCALHOST.into());
    let beginning = [&[0][..], &(32_u32 << 20).to_be_bytes(), b"x"].concat();
    let beginning = stream::iter([Ok::<_, Status>(Frame::data(Bytes::from(beginning)))]);
    let body = Body::new(StreamBody::new(beginning.chain(stream::pending())));
    let mut reading = Box::pin(read_message(&mut claim, body, Deadline::default()));
    assert!(futures::poll!(reading.as_mut()).is_pending());
    assert_eq!(room.in_flight().get(), 4096);
}

fn reason(response: &Response<Body>) -> Option<Reason> {
    Status::from_header_map(response.headers()).as_ref().and_then(Reason::of)
}

#[tokio::test]
async fn a_call_without_room_is_refused_before_its_deadline_with_a_retry_delay() {
    let (mut admission, gate, room) = admission();
    let first = tokio::spawn(admission.call(call("30S")));
    while room.in_flight().get() == 0 {
        tokio::task::yield_now().await;
    }
    let began = Instant::now();
    let refused = admission.call(call("100m")).await.unwrap();
    assert_eq!(reason(&refused), Some(Reason::Overloaded));
    assert!(refused.headers().contains_key("grpc-status-details-bin"));
    assert!(began.elapsed() < MAX_WAIT);
    gate.add_permits(1);
    let answered = first.await.unwrap().unwrap();
    let read = answered.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(read.len(), PREFIX_BYTES + MESSAGE_BYTES);
    assert_eq!(room.in_flight().get(), 0);
}

#[tokio::test]
async fn a_call_waits_until_another_call_frees_room() {
    let (mut admission, gate, _) = admission();
    gate.add_permits(2);
    let (first, second) = tokio::join!(admission.call(call("30S")), admission.call(call("30S")));
    assert_eq!((reason(&first.unwrap()), reason(&second.unwrap())), (None, None));
}
