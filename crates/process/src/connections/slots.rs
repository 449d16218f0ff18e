//! The open connections of a process, and the choice of those that go where there are too many.

use std::{
    collections::{BinaryHeap, HashMap},
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use procfs::process::{LimitValue, Process};
use tokio::{
    sync::{Notify, Semaphore},
    time::{self, Instant},
};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{
    activity::{Activity, Waiting},
    metrics::ConnectionMetrics,
};
use crate::share;

/// The pause between two warnings while a limit is reached.
const WARN_INTERVAL: Duration = Duration::from_secs(10);
/// The time in which a connection does not have to go: its request may have arrived, and wait to be read.
const GRACE: Duration = Duration::from_millis(250);
/// The time between two looks for connections that can go.
const LOOK_INTERVAL: Duration = Duration::from_millis(25);
/// One of so many connections goes at once, because the choice looks at all of them.
const SHARE_OF_ONE_CHOICE: usize = 64;
/// The heads over 40 KiB that may come at once. hyper keeps up to 400 KiB of each.
const LARGE_HEADS: usize = 64;
/// The fewest descriptors that are kept back for files, and for connections to servers and databases.
const KEPT_BACK: usize = 128;

/// How many connections the process may have. A quarter of its descriptors is kept back, 128 at least, and half of them
/// at most.
fn descriptors_for_connections() -> usize {
    let limits = Process::myself().and_then(|process| process.limits());
    match limits.map(|limits| limits.max_open_files.soft_limit) {
        Ok(LimitValue::Value(most)) => {
            let most = usize::try_from(most).unwrap_or(usize::MAX);
            most - (most / 4).max(KEPT_BACK).min(most / 2)
        }
        Ok(LimitValue::Unlimited) | Err(_) => usize::MAX,
    }
}

/// The slots of connections. Each listener has a limit of its own besides.
#[derive(Debug)]
pub(super) struct ConnectionSlots {
    /// The most connections. Read anew when it is reached, because an operator may raise the limit of a process that
    /// runs.
    max: AtomicUsize,
    open: Mutex<Open>,
    freed: Notify,
    large_heads: Arc<Semaphore>,
    metrics: ConnectionMetrics,
}

#[derive(Debug, Default)]
struct Open {
    last_id: u64,
    connections: HashMap<u64, OpenConnection>,
    by_listener: HashMap<&'static str, usize>,
    warned_at: Option<Instant>,
}

#[derive(Debug)]
struct OpenConnection {
    listener: &'static str,
    /// Its address, or the /64 of it.
    share: IpAddr,
    activity: Activity,
    taken: CancellationToken,
}

/// The slot of one connection, given back on drop.
#[derive(Debug)]
pub(super) struct ConnectionSlot {
    slots: Arc<ConnectionSlots>,
    id: u64,
    listener: &'static str,
    activity: Activity,
    taken: CancellationToken,
}

impl ConnectionSlots {
    pub(super) fn new(metrics: ConnectionMetrics) -> Self {
        let max = AtomicUsize::new(descriptors_for_connections());
        Self {
            max,
            open: Mutex::default(),
            freed: Notify::new(),
            large_heads: Arc::new(Semaphore::new(LARGE_HEADS)),
            metrics,
        }
    }

    pub(super) fn max(&self) -> usize {
        self.max.load(Ordering::Relaxed)
    }

    /// Reads the limit of the process anew. Returns whether it is higher.
    fn refresh_max(&self, listener: &'static str, max: usize) -> bool {
        let now = descriptors_for_connections();
        self.metrics.set_limit(listener, max.min(now));
        self.max.swap(now, Ordering::Relaxed) < now
    }

    /// Takes a slot for a connection from `address`. Without a free one, connections that wait for their peers make room:
    /// first those of the address that has most connections. Where none waits, this one does.
    pub(super) async fn acquire(
        self: &Arc<Self>,
        listener: &'static str,
        max: usize,
        address: IpAddr,
    ) -> ConnectionSlot {
        loop {
            // Registered before the look, so that no slot is freed between the two.
            let mut freed = Box::pin(self.freed.notified());
            freed.as_mut().enable();
            {
                let mut open = self.open();
                let scope = if open.by_listener.get(listener).is_some_and(|count| *count >= max) {
                    Some(listener)
                } else if open.connections.len() >= self.max() && !self.refresh_max(listener, max) {
                    None
                } else {
                    return self.take(&mut open, listener, address);
                };
                open.warn(listener, scope.map_or(self.max(), |_| max));
                open.make_room(scope);
            }
            // Without a slot that is freed, a connection may have outlived its grace.
            let _ = time::timeout(LOOK_INTERVAL, freed).await;
        }
    }

    /// Makes room after the system had no descriptor for a connection: its limit may be lower now, or other files may be
    /// open.
    pub(super) fn shed(&self, listener: &'static str, max: usize) {
        self.refresh_max(listener, max);
        self.open().make_room(None);
    }

    fn take(self: &Arc<Self>, open: &mut Open, listener: &'static str, address: IpAddr) -> ConnectionSlot {
        open.last_id += 1;
        *open.by_listener.entry(listener).or_default() += 1;
        let (id, activity, taken) =
            (open.last_id, Activity::start(Arc::clone(&self.large_heads)), CancellationToken::new());
        let connection = OpenConnection {
            listener,
            share: share::of(address),
            activity: activity.clone(),
            taken: taken.clone(),
        };
        open.connections.insert(id, connection);
        self.metrics.open(listener).inc();
        ConnectionSlot { slots: Arc::clone(self), id, listener, activity, taken }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    /// Takes slots from connections that wait for their peers, unless that is under way.
    fn make_room(&mut self, listener: Option<&'static str>) {
        // Of all listeners, the one with most connections: a flood of one shall not reach the others.
        let largest =
            || self.by_listener.iter().max_by_key(|(_, count)| **count).map(|(listener, _)| *listener);
        let listener = listener.or_else(largest);
        let in_scope = |open: &&OpenConnection| Some(open.listener) == listener;
        let open: Vec<&OpenConnection> = self.connections.values().filter(in_scope).collect();
        if open.iter().any(|connection| connection.taken.is_cancelled()) {
            return;
        }
        let mut shares: HashMap<IpAddr, Share<'_>> = HashMap::new();
        for connection in &open {
            let share = shares.entry(connection.share).or_default();
            share.connections += 1;
            let waiting = connection.activity.waiting();
            if let Some(waiting) = waiting.filter(|waiting| waiting.since.elapsed() >= GRACE) {
                share.waiting.push((waiting, &connection.taken));
            }
        }
        for share in shares.values_mut() {
            share.waiting.sort_by_key(|(waiting, _)| std::cmp::Reverse(*waiting));
        }
        let mut shares: BinaryHeap<Share<'_>> = shares.into_values().collect();
        for _ in 0..open.len().div_ceil(SHARE_OF_ONE_CHOICE) {
            // Shares without a waiting connection come last.
            let Some(mut largest) = shares.pop() else { return };
            let Some((_, taken)) = largest.waiting.pop() else { return };
            taken.cancel();
            largest.connections -= 1;
            shares.push(largest);
        }
    }

    fn warn(&mut self, listener: &'static str, limit: usize) {
        if self.warned_at.is_none_or(|at| at.elapsed() >= WARN_INTERVAL) {
            self.warned_at = Some(Instant::now());
            warn!(
                listener,
                limit,
                "the limit of connections is reached; waiting ones of the address with most of them are closed. \
                 Raise the limit of open files (ulimit -n), and EDGE_MAX_CONNECTIONS for the edge"
            );
        }
    }
}

/// The connections of one address.
#[derive(Debug, Default)]
struct Share<'o> {
    connections: usize,
    /// Those that can go; the one that goes first comes last.
    waiting: Vec<(Waiting, &'o CancellationToken)>,
}

impl Share<'_> {
    fn rank(&self) -> (bool, usize, Option<std::cmp::Reverse<Waiting>>) {
        let first = self.waiting.last().map(|(waiting, _)| std::cmp::Reverse(*waiting));
        (first.is_some(), self.connections, first)
    }
}

impl PartialEq for Share<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.rank() == other.rank()
    }
}

impl Eq for Share<'_> {}

impl PartialOrd for Share<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Share<'_> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.rank().cmp(&other.rank())
    }
}

impl ConnectionSlot {
    pub(super) fn listener(&self) -> &'static str {
        self.listener
    }

    pub(super) fn activity(&self) -> Activity {
        self.activity.clone()
    }

    /// Returns when the slot was taken for another connection: this one has to end.
    pub(super) async fn taken(&self) {
        self.taken.cancelled().await;
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        let mut open = self.slots.open();
        open.connections.remove(&self.id);
        if let Some(count) = open.by_listener.get_mut(self.listener) {
            *count -= 1;
        }
        drop(open);
        self.slots.metrics.open(self.listener).dec();
        self.slots.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use http::{Request, Version};

    use super::*;

    const MAX: usize = 4;

    async fn open(slots: &Arc<ConnectionSlots>, caller: u8) -> ConnectionSlot {
        slots.acquire("edge", MAX, IpAddr::from([127, 0, 0, caller])).await
    }

    fn slots() -> Arc<ConnectionSlots> {
        Arc::new(ConnectionSlots::new(ConnectionMetrics::default()))
    }

    /// Opens a connection of `caller`, for which the one at `place` has to go.
    async fn opens_for(
        slots: &Arc<ConnectionSlots>,
        caller: u8,
        held: &mut Vec<ConnectionSlot>,
        place: usize,
    ) {
        tokio::select! {
            biased;
            _ = open(slots, caller) => panic!("there was a slot"),
            () = held[place].taken() => {}
        }
        drop(held.remove(place));
        held.push(open(slots, caller).await);
    }

    #[tokio::test]
    async fn the_address_with_most_connections_loses_its_oldest_one_that_waits() {
        let slots = slots();
        let mut held = vec![open(&slots, 1).await];
        for _ in 0..3 {
            held.push(open(&slots, 2).await);
        }
        let _in_flight = held[1].activity().begin_request(&Request::new(()));
        opens_for(&slots, 1, &mut held, 2).await;
        assert_eq!(held.len(), MAX);
    }

    #[tokio::test]
    async fn a_connection_whose_body_comes_goes_after_those_without_a_request() {
        let slots = slots();
        let mut held = vec![open(&slots, 1).await, open(&slots, 1).await];
        let in_flight = held[0].activity().begin_request(&Request::new(()));
        let _body = in_flight.in_flight().clone();
        held[0].activity().set_body_awaited(true);
        held.extend([open(&slots, 2).await, open(&slots, 3).await]);
        opens_for(&slots, 4, &mut held, 1).await;
        let waiting = in_flight.in_flight().activity().waiting();
        assert!(waiting.is_some_and(|waiting| waiting.for_bodies));
    }

    #[tokio::test]
    async fn a_connection_waits_while_weir_works_for_all_others() {
        let slots = slots();
        let mut held = Vec::new();
        for _ in 0..MAX {
            held.push(open(&slots, 1).await);
        }
        let _in_flight: Vec<_> = held
            .iter()
            .map(|slot| {
                slot.activity().begin_request(&Request::builder().version(Version::HTTP_2).body(()).unwrap())
            })
            .collect();
        let mut waits = Box::pin(open(&slots, 2));
        assert!(futures::poll!(waits.as_mut()).is_pending());
        drop(held.pop());
        waits.await;
    }
}
