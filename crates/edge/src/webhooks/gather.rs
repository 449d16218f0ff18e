//! Gathers the small bodies of a moment into one call, and so into one frame: that is what makes posts of single events
//! affordable (design.md decision 3).
//!
//! The first one goes at once. What comes in while calls are on their way goes together with the next one, so that
//! nobody waits where nothing is to be gained, and calls grow with the load.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    task::yield_now,
    time::{Instant, timeout, timeout_at},
};
use tonic::Status;
use weir::{
    contract::ingest::v1::{Item, ItemResult},
    event::Origin,
    process::{CallContext, CorrelationId, LoggedCall, TraceContext, grpc::CallOrigins},
};

use super::call::Call;
use crate::upstream::Upstream;

/// While one is made durable the posts behind it are checked, gathered and on their way; a third one gained nothing.
const CALLS_IN_FLIGHT: usize = 2;
/// Behind calls that take longer nobody waits: far below what a sender notices, and a slow instance holds up nobody's
/// posts but those that it has.
const LONGEST_WAIT: Duration = Duration::from_millis(5);
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
    logged: Option<LoggedCall>,
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
        let parcel = Parcel { items, context, arrived_at, deadline, logged: LoggedCall::current(), answer };
        self.parcels.send(parcel).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
}

async fn gather(ingest: Upstream, mut parcels: mpsc::Receiver<Parcel>) {
    let turns = Arc::new(Semaphore::new(CALLS_IN_FLIGHT));
    while let Some(first) = parcels.recv().await {
        // A full call has nothing to wait for.
        let patience = if parcels.len() < MOST_PARCELS { LONGEST_WAIT } else { Duration::ZERO };
        let turn = timeout(patience, Arc::clone(&turns).acquire_owned()).await;
        let turn = turn.ok().and_then(Result::ok);
        let_in(&parcels).await;
        let load = fill(first, &mut parcels);
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

/// What waits, as far as it fits into one call. Who is gone is not waited for.
fn fill(first: Parcel, parcels: &mut mpsc::Receiver<Parcel>) -> Vec<Parcel> {
    let mut items = first.items.len();
    let mut load = vec![first];
    while items < MOST_ITEMS
        && load.len() < MOST_PARCELS
        && let Ok(parcel) = parcels.try_recv()
    {
        items += parcel.items.len();
        load.push(parcel);
    }
    load.retain(|parcel| !parcel.answer.is_closed());
    load
}

/// A task of its own: whoever posts and goes away harms nobody else in the call.
async fn deliver(ingest: Upstream, load: Vec<Parcel>, turn: Option<OwnedSemaphorePermit>) {
    let answered = match <[Parcel; 1]>::try_from(load) {
        Ok([parcel]) => {
            let logged = parcel.logged.clone();
            let logged = logged.unwrap_or_else(|| LoggedCall::new(parcel.context.correlation_id.clone()));
            logged.within(alone(&ingest, parcel)).await
        }
        Err(load) => {
            let correlation_id = CorrelationId::generate();
            let logged = LoggedCall::new(correlation_id.clone());
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
