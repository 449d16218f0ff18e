//! Coalescing of small posts: sends the items of several posts to ingest in one call, which becomes one frame for each
//! source. That makes posts of single events affordable.
//!
//! A post that is alone goes at once. Posts that arrive while a call is in flight share the next call. The
//! next call starts when the number of waiting posts reaches half the number of recent senders. Half of the senders
//! then have their responses and write new posts, while ingest makes the posts of the other half durable. So no call
//! is spent on the few posts that arrive first.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    task::yield_now,
    time::{Instant, timeout, timeout_at},
};
use tonic::Status;
use weir::contract::ingest::v1::{Item, ItemResult};
use weir_event::Origin;
use weir_process::{CallContext, CorrelationId, LogContext, TraceContext, grpc::CallOrigins};

use super::{
    chunk::Chunk,
    outcome::BodyOutcome,
    parsed_body::ParsedBody,
    publish::{PublishCall, deadline_exceeded},
};
use crate::upstream::Upstream;

/// The largest body that is coalesced, in bytes and items. A larger one gains little, and would delay the others in
/// its call.
const MAX_BODY_BYTES: usize = 16 << 10;
const MAX_BODY_ITEMS: u64 = 32;
/// While ingest makes one call durable, the edge reads, checks and collects the next posts. A second call in flight
/// would split them, and each call costs one journal message per source, with a sync of its own.
const CALLS_IN_FLIGHT: usize = 1;
/// The longest wait for a call in flight. It is far below the latency that a sender notices, and a slow instance
/// delays only the posts that were sent to it.
const MAX_CALL_WAIT: Duration = Duration::from_millis(5);
/// The longest wait for posts that are expected and don't arrive.
const MAX_POST_WAIT: Duration = Duration::from_millis(1);
/// A span has at most 128 links, and the span of the call links to every post in it.
const MAX_POSTS: usize = 128;
/// The items of a full frame.
const MAX_ITEMS: usize = 512;
/// The most times that the task yields to others before it assembles a call.
const MAX_YIELDS: usize = 8;
/// Posts that wait for a call. Further senders wait until one leaves.
const QUEUE_CAPACITY: usize = 1024;

type Results = Result<Vec<ItemResult>, Status>;

/// Coalesces small posts. Cheap to clone; all clones share one queue.
#[derive(Clone, Debug)]
pub(super) struct Coalescer {
    queue: mpsc::Sender<PendingPost>,
}

/// The items of one post that wait for a call.
#[derive(Debug)]
struct PendingPost {
    items: Vec<Item>,
    context: CallContext,
    arrived_at: DateTime<Utc>,
    deadline: Instant,
    /// The fields of log entries about the post.
    log_context: Option<LogContext>,
    /// Closed where the caller has disconnected.
    results: oneshot::Sender<Results>,
}

impl Coalescer {
    /// Starts a task that ends with the last clone.
    pub(super) fn start(ingest: Upstream) -> Self {
        let (queue, posts) = mpsc::channel(QUEUE_CAPACITY);
        tokio::spawn(run(ingest, posts));
        Self { queue }
    }

    /// Whether the body is small enough to share a call.
    pub(super) fn takes(body: &ParsedBody) -> bool {
        body.bytes() <= MAX_BODY_BYTES && body.item_count() <= MAX_BODY_ITEMS
    }

    /// Sends a small body to ingest, and returns when every item is durable: good ones in the journal, bad ones as
    /// dead letters.
    ///
    /// # Errors
    /// The outcome of the body is unknown. Posting it again is harmless.
    pub(super) async fn publish(
        &self,
        body: &ParsedBody,
        context: CallContext,
        deadline: Instant,
    ) -> Result<BodyOutcome, Status> {
        let Some(Chunk { items, sent }) = Chunk::next(body, &mut body.items.cursor()) else {
            return Ok(BodyOutcome::default());
        };
        let results = self.send(items, context, body.arrived_at, deadline).await?;
        BodyOutcome::default().add(body, sent, results)
    }

    /// The results of the items, in their order.
    async fn send(
        &self,
        items: Vec<Item>,
        context: CallContext,
        arrived_at: DateTime<Utc>,
        deadline: Instant,
    ) -> Results {
        let lost = || Status::internal("the task of a call ended without a result");
        let (results, received) = oneshot::channel();
        let log_context = LogContext::current();
        let post = PendingPost { items, context, arrived_at, deadline, log_context, results };
        self.queue.send(post).await.map_err(|_| lost())?;
        received.await.map_err(|_| lost())?
    }
}

async fn run(ingest: Upstream, mut queue: mpsc::Receiver<PendingPost>) {
    let calls = Arc::new(Semaphore::new(CALLS_IN_FLIGHT));
    let mut last_posts = 0;
    while let Some(first) = queue.recv().await {
        // A full call need not wait for the one in flight.
        let wait = if queue.len() < MAX_POSTS { MAX_CALL_WAIT } else { Duration::ZERO };
        let permit = timeout(wait, Arc::clone(&calls).acquire_owned()).await;
        let permit = permit.ok().and_then(Result::ok);
        // Most senders of the last call have their response now, and may post again.
        let expected = (last_posts + 1 + queue.len()) / 2;
        let posts = collect_posts(first, &mut queue, expected).await;
        last_posts = posts.len();
        if !posts.is_empty() {
            tokio::spawn(flush(ingest.clone(), posts, permit));
        }
    }
}

/// Lets requests whose bodies have arrived read and check them, so that they share this call. It uses no timer: it
/// ends when two yields in a row bring no post.
async fn drain_ready(queue: &mpsc::Receiver<PendingPost>) {
    let mut idle_yields = 0;
    for _ in 0..MAX_YIELDS {
        let before = queue.len();
        yield_now().await;
        idle_yields = if queue.len() == before { idle_yields + 1 } else { 0 };
        if idle_yields == 2 {
            return;
        }
    }
}

/// Waits for `expected` posts, then takes all waiting posts that fit into one call. Skips callers that have
/// disconnected.
async fn collect_posts(
    first: PendingPost,
    queue: &mut mpsc::Receiver<PendingPost>,
    expected: usize,
) -> Vec<PendingPost> {
    let until = Instant::now() + MAX_POST_WAIT;
    let mut call = PendingCall { items: first.items.len(), posts: vec![first] };
    while call.posts.len() < expected
        && call.has_room()
        && let Ok(Some(post)) = timeout_at(until, queue.recv()).await
    {
        call.push(post);
    }
    drain_ready(queue).await;
    while call.has_room()
        && let Ok(post) = queue.try_recv()
    {
        call.push(post);
    }
    call.posts.retain(|post| !post.results.is_closed());
    call.posts
}

/// The posts of one call.
#[derive(Debug)]
struct PendingCall {
    posts: Vec<PendingPost>,
    /// The number of items of all posts.
    items: usize,
}

impl PendingCall {
    fn has_room(&self) -> bool {
        self.items < MAX_ITEMS && self.posts.len() < MAX_POSTS
    }

    fn push(&mut self, post: PendingPost) {
        self.items += post.items.len();
        self.posts.push(post);
    }
}

/// Makes one call and returns each post its results. It runs in a task of its own, so that a caller that disconnects
/// does not cancel the call of the others.
async fn flush(ingest: Upstream, posts: Vec<PendingPost>, permit: Option<OwnedSemaphorePermit>) {
    let responses = match <[PendingPost; 1]>::try_from(posts) {
        Ok([post]) => {
            let log_context = post.log_context.clone();
            let log_context =
                log_context.unwrap_or_else(|| LogContext::new(post.context.correlation_id.clone()));
            log_context.within(send_single(&ingest, post)).await
        }
        Err(posts) => {
            let correlation_id = CorrelationId::generate();
            let log_context = LogContext::new(correlation_id.clone());
            log_context.within(send_merged(&ingest, posts, correlation_id)).await
        }
    };
    // The next call may leave while these callers receive their results.
    drop(permit);
    for (sender, results) in responses {
        sender.send(results).ok();
    }
}

type Responses = Vec<(oneshot::Sender<Results>, Results)>;

/// Sends one post, under its own correlation id.
async fn send_single(ingest: &Upstream, post: PendingPost) -> Responses {
    let PendingPost { items, context, arrived_at, deadline, results, .. } = post;
    let origin = Some(Origin::of_call(context.clone(), arrived_at).into());
    let origins = Some(CallOrigins::from(vec![context.clone()]));
    let call = PublishCall { ingest, context: &context, origin, origins, deadline };
    vec![(results, send(call, items).await)]
}

/// Sends several posts, under a correlation id of the call. Every item names the origin of its post. A failure of the
/// call is the result of every post.
async fn send_merged(ingest: &Upstream, posts: Vec<PendingPost>, correlation_id: CorrelationId) -> Responses {
    let context = CallContext { correlation_id, trace: TraceContext::default() };
    let deadline = posts.iter().map(|post| post.deadline).min().unwrap_or_else(Instant::now);
    let origins: Vec<CallContext> = posts.iter().map(|post| post.context.clone()).collect();
    let origins = Some(CallOrigins::from(origins));
    let mut items = Vec::new();
    let mut waiting = Vec::with_capacity(posts.len());
    for PendingPost { items: own, context, arrived_at, results, .. } in posts {
        waiting.push((results, own.len()));
        let origin = Origin::of_call(context, arrived_at);
        items.extend(own.into_iter().map(|item| Item { origin: Some(origin.clone().into()), ..item }));
    }
    let call = PublishCall { ingest, context: &context, origin: None, origins, deadline };
    match send(call, items).await {
        Ok(results) => {
            let mut results = results.into_iter();
            let shares = waiting
                .into_iter()
                .map(|(sender, share)| (sender, Ok(results.by_ref().take(share).collect())));
            shares.collect()
        }
        Err(status) => waiting.into_iter().map(|(sender, _)| (sender, Err(status.clone()))).collect(),
    }
}

async fn send(call: PublishCall<'_>, items: Vec<Item>) -> Results {
    let results = timeout_at(call.deadline, Box::pin(call.send(items))).await;
    results.unwrap_or_else(|_| Err(deadline_exceeded()))
}

#[cfg(test)]
mod tests {
    use weir::contract::ingest::v1;

    use super::*;

    fn post() -> (PendingPost, oneshot::Receiver<Results>) {
        let (results, received) = oneshot::channel();
        let context =
            CallContext { correlation_id: CorrelationId::generate(), trace: TraceContext::default() };
        let now = Instant::now();
        let items = vec![v1::Item::default()];
        let arrived_at = Utc::now();
        (PendingPost { items, context, arrived_at, deadline: now, log_context: None, results }, received)
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_waits_for_the_expected_posts() {
        let (queue, mut posts) = mpsc::channel(QUEUE_CAPACITY);
        let (first, _first) = post();
        let later = tokio::spawn(async move {
            let mut results = Vec::new();
            for _ in 0..2 {
                // It arrives after the last yield of `drain_ready`.
                for _ in 0..2 * MAX_YIELDS {
                    yield_now().await;
                }
                let (post, received) = post();
                queue.send(post).await.unwrap();
                results.push(received);
            }
            (queue, results)
        });
        assert_eq!(collect_posts(first, &mut posts, 3).await.len(), 3);
        later.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_leaves_without_posts_that_do_not_arrive() {
        let (_queue, mut posts) = mpsc::channel(QUEUE_CAPACITY);
        let ((first, _first), started) = (post(), Instant::now());
        assert_eq!(collect_posts(first, &mut posts, 3).await.len(), 1);
        assert_eq!(started.elapsed(), MAX_POST_WAIT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_post_of_a_disconnected_caller_is_not_sent() {
        let (queue, mut posts) = mpsc::channel(QUEUE_CAPACITY);
        let (first, _first) = post();
        queue.send(post().0).await.unwrap();
        assert_eq!(collect_posts(first, &mut posts, 0).await.len(), 1);
    }
}
