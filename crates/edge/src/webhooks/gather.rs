//! Gathers the small bodies of a moment into one call, and so into one frame: that is what makes posts of single events
//! affordable.
//!
//! Alone it goes at once. What comes in while a call is on its way goes together with the next one, which leaves when
//! half of those are there who posted lately: then half of the senders are answered, and write, while the posts of the
//! others are made durable, and no call is spent on the few that are first.

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

use super::call::Call;
use crate::upstream::Upstream;

/// While it is made durable the posts behind it are read, checked and gathered. A second one would split them, and each
/// call is a message of the journal for each source in it, with a sync of its own.
const CALLS_IN_FLIGHT: usize = 1;
/// Behind calls that take longer nobody waits: far below what a sender notices, and a slow instance holds up nobody's
/// posts but those that it has.
const LONGEST_WAIT: Duration = Duration::from_millis(5);
/// Nor for those who were expected to post again and do not.
const LONGEST_GATHERING: Duration = Duration::from_millis(1);
/// As many links as a span has: the call's span leads to every post in it.
const MOST_PARCELS: usize = 128;
/// A full frame.
const MOST_ITEMS: usize = 512;
/// How often others go on first who can, before a call is made up.
const MOST_YIELDS: usize = 8;
/// Parcels on their way to a call. Who finds no place waits for one.
const QUEUE: usize = 1024;

/// Takes small bodies. Cheap to clone; every clone gathers with the others.
#[derive(Clone, Debug)]
pub(super) struct Gatherer {
    parcels: mpsc::Sender<Parcel>,
}

/// One body's items on their way.
#[derive(Debug)]
struct Parcel {
    items: Vec<Item>,
    context: CallContext,
    arrived_at: DateTime<Utc>,
    deadline: Instant,
    /// What log entries of it are part of.
    logged: Option<LogContext>,
    /// Whoever posted it may be gone; then nobody hears the answer.
    answer: oneshot::Sender<Result<Vec<ItemResult>, Status>>,
}

impl Gatherer {
    /// It ends with its last clone.
    pub(super) fn start(ingest: Upstream) -> Self {
        let (parcels, received) = mpsc::channel(QUEUE);
        tokio::spawn(gather(ingest, received));
        Self { parcels }
    }

    /// Returns what became of the items, in their order.
    ///
    /// # Errors
    /// It is unknown what became of them.
    pub(super) async fn send(
        &self,
        items: Vec<Item>,
        context: CallContext,
        arrived_at: DateTime<Utc>,
        deadline: Instant,
    ) -> Result<Vec<ItemResult>, Status> {
        let gone = || Status::internal("a call ended without an answer");
        let (answer, answered) = oneshot::channel();
        let parcel = Parcel { items, context, arrived_at, deadline, logged: LogContext::current(), answer };
        self.parcels.send(parcel).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
}

async fn gather(ingest: Upstream, mut parcels: mpsc::Receiver<Parcel>) {
    let turns = Arc::new(Semaphore::new(CALLS_IN_FLIGHT));
    let mut last = 0;
    while let Some(first) = parcels.recv().await {
        // A full call has nothing to wait for.
        let patience = if parcels.len() < MOST_PARCELS { LONGEST_WAIT } else { Duration::ZERO };
        let turn = timeout(patience, Arc::clone(&turns).acquire_owned()).await;
        let turn = turn.ok().and_then(Result::ok);
        // Who was in the last call has an answer now, mostly, and may post again.
        let expected = (last + 1 + parcels.len()) / 2;
        let load = assemble(first, &mut parcels, expected).await;
        last = load.len();
        if !load.is_empty() {
            tokio::spawn(deliver(ingest.clone(), load, turn));
        }
    }
}

/// Whoever's body is there already, and only has to be read and checked, comes into this call and needs none of its
/// own. Nobody waits for a clock: it ends when nobody came twice.
async fn let_in(parcels: &mpsc::Receiver<Parcel>) {
    let mut calm = 0;
    for _ in 0..MOST_YIELDS {
        let before = parcels.len();
        yield_now().await;
        calm = if parcels.len() == before { calm + 1 } else { 0 };
        if calm == 2 {
            return;
        }
    }
}

/// What waits, as far as it fits into one call, once so many parcels are there. Who is gone is not waited for.
async fn assemble(first: Parcel, parcels: &mut mpsc::Receiver<Parcel>, expected: usize) -> Vec<Parcel> {
    let until = Instant::now() + LONGEST_GATHERING;
    let mut load = Load { items: first.items.len(), parcels: vec![first] };
    while load.parcels.len() < expected
        && load.has_room()
        && let Ok(Some(parcel)) = timeout_at(until, parcels.recv()).await
    {
        load.push(parcel);
    }
    let_in(parcels).await;
    while load.has_room()
        && let Ok(parcel) = parcels.try_recv()
    {
        load.push(parcel);
    }
    load.parcels.retain(|parcel| !parcel.answer.is_closed());
    load.parcels
}

/// What goes into one call.
#[derive(Debug)]
struct Load {
    parcels: Vec<Parcel>,
    /// Of all of them.
    items: usize,
}

impl Load {
    fn has_room(&self) -> bool {
        self.items < MOST_ITEMS && self.parcels.len() < MOST_PARCELS
    }

    fn push(&mut self, parcel: Parcel) {
        self.items += parcel.items.len();
        self.parcels.push(parcel);
    }
}

/// A task of its own: whoever posts and goes away harms nobody else in the call.
async fn deliver(ingest: Upstream, load: Vec<Parcel>, turn: Option<OwnedSemaphorePermit>) {
    let answered = match <[Parcel; 1]>::try_from(load) {
        Ok([parcel]) => {
            let logged = parcel.logged.clone();
            let logged = logged.unwrap_or_else(|| LogContext::new(parcel.context.correlation_id.clone()));
            logged.within(alone(&ingest, parcel)).await
        }
        Err(load) => {
            let correlation_id = CorrelationId::generate();
            let logged = LogContext::new(correlation_id.clone());
            logged.within(together(&ingest, load, correlation_id)).await
        }
    };
    // The next call may go while these hear of theirs.
    drop(turn);
    for (answer, results) in answered {
        answer.send(results).ok();
    }
}

type Answers = Vec<(oneshot::Sender<Result<Vec<ItemResult>, Status>>, Result<Vec<ItemResult>, Status>)>;

/// The call is the post's own.
async fn alone(ingest: &Upstream, parcel: Parcel) -> Answers {
    let Parcel { items, context, arrived_at, deadline, answer, .. } = parcel;
    let origin = Some(Origin::of_call(context.clone(), arrived_at).into());
    let origins = Some(CallOrigins::from(vec![context.clone()]));
    let call = Call { ingest, context: &context, origin, origins, deadline };
    vec![(answer, send(call, items).await)]
}

/// The call is nobody's, and every item names where it came in. What goes wrong with it went wrong for all.
async fn together(ingest: &Upstream, load: Vec<Parcel>, correlation_id: CorrelationId) -> Answers {
    let context = CallContext { correlation_id, trace: TraceContext::default() };
    let deadline = load.iter().map(|parcel| parcel.deadline).min().unwrap_or_else(Instant::now);
    let origins: Vec<CallContext> = load.iter().map(|parcel| parcel.context.clone()).collect();
    let origins = Some(CallOrigins::from(origins));
    let mut items = Vec::new();
    let mut waiting = Vec::with_capacity(load.len());
    for Parcel { items: own, context, arrived_at, answer, .. } in load {
        waiting.push((answer, own.len()));
        let origin = Origin::of_call(context, arrived_at);
        items.extend(own.into_iter().map(|item| Item { origin: Some(origin.clone().into()), ..item }));
    }
    let call = Call { ingest, context: &context, origin: None, origins, deadline };
    match send(call, items).await {
        Ok(results) => {
            let mut results = results.into_iter();
            let shares = waiting
                .into_iter()
                .map(|(answer, share)| (answer, Ok(results.by_ref().take(share).collect())));
            shares.collect()
        }
        Err(status) => waiting.into_iter().map(|(answer, _)| (answer, Err(status.clone()))).collect(),
    }
}

async fn send(call: Call<'_>, items: Vec<Item>) -> Result<Vec<ItemResult>, Status> {
    let sent = timeout_at(call.deadline, Box::pin(call.send(items))).await;
    sent.unwrap_or_else(|_| Err(Status::deadline_exceeded("ingest did not answer in time")))
}

#[cfg(test)]
mod tests {
    use weir::contract::ingest::v1;

    use super::*;

    type Answered = oneshot::Receiver<Result<Vec<ItemResult>, Status>>;

    fn parcel() -> (Parcel, Answered) {
        let (answer, answered) = oneshot::channel();
        let context =
            CallContext { correlation_id: CorrelationId::generate(), trace: TraceContext::default() };
        let now = Instant::now();
        let items = vec![v1::Item::default()];
        (Parcel { items, context, arrived_at: Utc::now(), deadline: now, logged: None, answer }, answered)
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_waits_for_those_who_are_expected() {
        let (sender, mut parcels) = mpsc::channel(QUEUE);
        let (first, _first) = parcel();
        let later = tokio::spawn(async move {
            let mut answers = Vec::new();
            for _ in 0..2 {
                // Not there when it is looked for once more.
                for _ in 0..2 * MOST_YIELDS {
                    yield_now().await;
                }
                let (parcel, answered) = parcel();
                sender.send(parcel).await.unwrap();
                answers.push(answered);
            }
            (sender, answers)
        });
        assert_eq!(assemble(first, &mut parcels, 3).await.len(), 3);
        later.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_come_is_waited_for_no_longer() {
        let (_sender, mut parcels) = mpsc::channel(QUEUE);
        let ((first, _first), started) = (parcel(), Instant::now());
        assert_eq!(assemble(first, &mut parcels, 3).await.len(), 1);
        assert_eq!(started.elapsed(), LONGEST_GATHERING);
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_gone_is_not_sent() {
        let (sender, mut parcels) = mpsc::channel(QUEUE);
        let (first, _first) = parcel();
        sender.send(parcel().0).await.unwrap();
        assert_eq!(assemble(first, &mut parcels, 0).await.len(), 1);
    }
}
