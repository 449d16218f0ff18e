//! Room for the bytes of bodies in flight, so that memory stays bounded however many senders post.
//!
//! Only bytes that came take room; what a sender announces takes none. While room is short, the caller that holds most
//! loses its slowest bodies first, so that a body that comes whole finds room.

use std::{
    cmp::Reverse,
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use prometheus_client::metrics::{counter::Counter, gauge::Gauge};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{self, Instant},
};
use tokio_util::sync::CancellationToken;

use crate::share;

/// The unit of room. A semaphore counts in 32 bits, and one block is little for the smallest body.
const BLOCK_BYTES: usize = 4096;
/// The time between two looks for bodies that must make room, while a body waits.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// There was no room for a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no room for the body")]
pub struct Overloaded;

/// Room for bodies. Cheap to clone; every clone is the same room.
///
/// ```
/// use std::{net::IpAddr, time::Duration};
///
/// use weir_process::{Overloaded, Room};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let room = Room::new(8192);
/// let sender: IpAddr = "192.0.2.1".parse().unwrap();
/// let (mut first, mut second) = (room.claim(sender), room.claim(sender));
/// assert_eq!(first.grow_to(8000, Duration::ZERO).await, Ok(()));
/// first.complete();
/// assert_eq!(second.grow_to(1, Duration::ZERO).await, Err(Overloaded));
/// drop(first);
/// assert_eq!(second.grow_to(1, Duration::ZERO).await, Ok(()));
/// # });
/// ```
#[derive(Clone, Debug)]
pub struct Room {
    inner: Arc<Inner>,
    in_flight: Gauge,
    limit: Gauge,
    taken: Counter,
}

#[derive(Debug)]
struct Inner {
    blocks: Arc<Semaphore>,
    bodies: Mutex<Bodies>,
}

#[derive(Debug, Default)]
struct Bodies {
    last_id: u64,
    by_id: HashMap<u64, Holding>,
}

/// The room that one body holds.
#[derive(Debug)]
struct Holding {
    share: IpAddr,
    blocks: usize,
    began_at: Instant,
    is_complete: bool,
    taken: CancellationToken,
}

/// The room of one body; dropping it frees the room.
#[derive(Debug)]
pub struct Claim {
    room: Room,
    id: u64,
    permit: Option<OwnedSemaphorePermit>,
    taken: CancellationToken,
}

impl Room {
    /// Room for `limit_bytes`.
    #[must_use]
    pub fn new(limit_bytes: usize) -> Self {
        let limit = Gauge::default();
        limit.set(signed(limit_bytes));
        let inner = Inner::new(limit_bytes);
        Self { inner, in_flight: Gauge::default(), limit, taken: Counter::default() }
    }

    /// Adds room that is apart, so that bodies of this one can't fill it. The metrics of both show their sum.
    #[must_use]
    pub fn partition(&self, limit_bytes: usize) -> Self {
        self.limit.inc_by(signed(limit_bytes));
        Self { inner: Inner::new(limit_bytes), ..self.clone() }
    }

    /// The bytes that bodies hold, in blocks of 4 KiB.
    #[must_use]
    pub fn in_flight(&self) -> Gauge {
        self.in_flight.clone()
    }

    /// The most bytes that bodies can hold.
    #[must_use]
    pub fn limit(&self) -> Gauge {
        self.limit.clone()
    }

    /// Bodies whose room was taken for others.
    #[must_use]
    pub fn taken(&self) -> Counter {
        self.taken.clone()
    }

    /// The empty claim of a body that a caller begins to send. Callers of one IPv6 /64 count as one.
    #[must_use]
    pub fn claim(&self, caller: IpAddr) -> Claim {
        let taken = CancellationToken::new();
        let holding = Holding {
            share: share::of(caller),
            blocks: 0,
            began_at: Instant::now(),
            is_complete: false,
            taken: taken.clone(),
        };
        let mut bodies = self.inner.bodies();
        bodies.last_id += 1;
        let id = bodies.last_id;
        bodies.by_id.insert(id, holding);
        drop(bodies);
        Claim { room: self.clone(), id, permit: None, taken }
    }
}

impl Claim {
    /// Grows until it covers `bytes`. Without room, the caller that holds most loses its slowest bodies; where it has
    /// none that still come, this waits up to `max_wait`.
    ///
    /// # Errors
    /// There was no room in time, or this body's room was taken for others.
    pub async fn grow_to(&mut self, bytes: usize, max_wait: Duration) -> Result<(), Overloaded> {
        let held = self.permit.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let missing = bytes.div_ceil(BLOCK_BYTES).saturating_sub(held);
        if missing == 0 {
            return if self.taken.is_cancelled() { Err(Overloaded) } else { Ok(()) };
        }
        let blocks = u32::try_from(missing).map_err(|_| Overloaded)?;
        let semaphore = &self.room.inner.blocks;
        // The semaphore is fair: free permits already belong to the bodies that wait.
        let further = match Arc::clone(semaphore).try_acquire_many_owned(blocks) {
            Ok(further) => further,
            Err(_) => {
                let acquiring = self.acquire(blocks);
                time::timeout(max_wait, acquiring).await.map_err(|_elapsed| Overloaded)??
            }
        };
        self.room.in_flight.inc_by(signed(missing * BLOCK_BYTES));
        if let Some(holding) = self.room.inner.bodies().by_id.get_mut(&self.id) {
            holding.blocks += missing;
        }
        match &mut self.permit {
            Some(permit) => permit.merge(further),
            None => self.permit = Some(further),
        }
        Ok(())
    }

    /// Waits for blocks, and has slower bodies make room for them.
    async fn acquire(&self, blocks: u32) -> Result<OwnedSemaphorePermit, Overloaded> {
        let inner = &self.room.inner;
        let mut acquired = Box::pin(Arc::clone(&inner.blocks).acquire_many_owned(blocks));
        let mut look = time::interval(LOOK_INTERVAL);
        loop {
            tokio::select! {
                biased;
                () = self.taken.cancelled() => return Err(Overloaded),
                acquired = &mut acquired => return acquired.map_err(|_closed| Overloaded),
                _ = look.tick() => {
                    let missing = (blocks as usize).saturating_sub(inner.blocks.available_permits());
                    self.room.taken.inc_by(inner.bodies().make_room(missing, self.id));
                }
            }
        }
    }

    /// Notes that the body has come whole. Its room is not taken for others any more.
    pub fn complete(&self) {
        if let Some(holding) = self.room.inner.bodies().by_id.get_mut(&self.id) {
            holding.is_complete = true;
        }
    }

    /// Returns when the room was taken for others: the body has to be dropped.
    pub async fn taken(&self) {
        self.taken.cancelled().await;
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.room.inner.bodies().by_id.remove(&self.id);
        let blocks = self.permit.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        self.room.in_flight.dec_by(signed(blocks * BLOCK_BYTES));
    }
}

impl Inner {
    fn new(limit_bytes: usize) -> Arc<Self> {
        let blocks = Arc::new(Semaphore::new(limit_bytes.div_ceil(BLOCK_BYTES)));
        Arc::new(Self { blocks, bodies: Mutex::default() })
    }

    fn bodies(&self) -> MutexGuard<'_, Bodies> {
        self.bodies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bodies {
    /// Takes `missing` blocks from bodies that still come, for the body `asking`: from the caller that holds most, its
    /// slowest ones first. Callers that hold less than the one who asks lose nothing. Returns the number of bodies.
    fn make_room(&mut self, missing: usize, asking: u64) -> u64 {
        let now = Instant::now();
        let mut shares: HashMap<IpAddr, Share> = HashMap::new();
        let mut freed = 0;
        for (id, holding) in &self.by_id {
            let share = shares.entry(holding.share).or_default();
            if holding.taken.is_cancelled() {
                freed += holding.blocks;
                continue;
            }
            share.blocks += holding.blocks;
            if !holding.is_complete && *id != asking && holding.blocks > 0 {
                share.coming.push((holding.pace(now), *id));
            }
        }
        let least = self
            .by_id
            .get(&asking)
            .and_then(|holding| shares.get(&holding.share))
            .map_or(0, |own| own.blocks);
        for share in shares.values_mut() {
            share.coming.sort_unstable_by_key(|slowest_last| Reverse(*slowest_last));
        }
        let mut taken = 0;
        while freed < missing {
            let candidates =
                shares.values_mut().filter(|share| share.blocks >= least && !share.coming.is_empty());
            let Some(most) = candidates.max_by_key(|share| share.blocks) else { break };
            let Some(holding) = most.coming.pop().and_then(|(_, id)| self.by_id.get(&id)) else { break };
            holding.taken.cancel();
            most.blocks -= holding.blocks;
            freed += holding.blocks;
            taken += 1;
        }
        taken
    }
}

impl Holding {
    /// Blocks a second, times 1,000.
    fn pace(&self, now: Instant) -> u128 {
        let age = now.saturating_duration_since(self.began_at).as_millis().max(1);
        self.blocks as u128 * 1_000_000 / age
    }
}

/// The bodies of one caller.
#[derive(Debug, Default)]
struct Share {
    blocks: usize,
    /// Paces and ids of the bodies that still come; the slowest one comes last.
    coming: Vec<(u128, u64)>,
}

fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX_WAIT: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_secs(60);

    fn address(last: u8) -> IpAddr {
        IpAddr::from([127, 0, 0, last])
    }

    async fn claim(room: &Room, caller: u8, blocks: usize) -> Claim {
        let mut claim = room.claim(address(caller));
        claim.grow_to(blocks * BLOCK_BYTES, LONG).await.unwrap();
        claim
    }

    #[tokio::test]
    async fn a_body_waits_for_whole_ones_and_is_then_refused() {
        let room = Room::new(3 * BLOCK_BYTES);
        let first = claim(&room, 1, 2).await;
        first.complete();
        let mut second = room.claim(address(1));
        assert_eq!(second.grow_to(2 * BLOCK_BYTES, MAX_WAIT).await, Err(Overloaded));
        assert_eq!(room.in_flight().get(), signed(2 * BLOCK_BYTES));
        drop(first);
        second.grow_to(2 * BLOCK_BYTES, MAX_WAIT).await.unwrap();
    }

    #[tokio::test]
    async fn a_claim_grows_and_is_freed_whole() {
        let room = Room::new(4 * BLOCK_BYTES);
        let mut claim = room.claim(address(1));
        for (bytes, blocks) in [(1, 1), (BLOCK_BYTES, 1), (BLOCK_BYTES + 1, 2), (4 * BLOCK_BYTES, 4)] {
            claim.grow_to(bytes, MAX_WAIT).await.unwrap();
            assert_eq!(room.in_flight().get(), signed(blocks * BLOCK_BYTES));
        }
        drop(claim);
        assert_eq!((room.in_flight().get(), room.limit().get()), (0, signed(4 * BLOCK_BYTES)));
    }

    #[tokio::test]
    async fn room_that_is_apart_stays_when_the_other_one_is_full() {
        let room = Room::new(BLOCK_BYTES);
        let apart = room.partition(BLOCK_BYTES);
        let _large = claim(&room, 1, 1).await;
        let _small = claim(&apart, 1, 1).await;
        assert_eq!(
            (room.in_flight().get(), room.limit().get()),
            (signed(2 * BLOCK_BYTES), signed(2 * BLOCK_BYTES))
        );
    }

    /// Grows a claim of `caller` by a block, while those whose room is taken are dropped. Returns their places.
    async fn taken_for(caller: u8, room: &Room, held: Vec<Claim>) -> Vec<usize> {
        let watched = held.into_iter().enumerate().map(|(place, claim)| async move {
            claim.taken().await;
            place
        });
        let mut watched: futures::stream::FuturesUnordered<_> = watched.collect();
        let mut new = room.claim(address(caller));
        let mut places = Vec::new();
        {
            use futures::StreamExt as _;
            let mut growing = Box::pin(new.grow_to(BLOCK_BYTES, MAX_WAIT));
            loop {
                tokio::select! {
                    biased;
                    Some(place) = watched.next() => places.push(place),
                    _ = &mut growing => break,
                }
            }
        }
        places
    }

    #[tokio::test(start_paused = true)]
    async fn the_caller_that_holds_most_loses_its_slowest_body() {
        let room = Room::new(6 * BLOCK_BYTES);
        let mut held = vec![claim(&room, 1, 2).await];
        time::advance(Duration::from_secs(1)).await;
        held.extend([claim(&room, 2, 2).await, claim(&room, 2, 1).await, claim(&room, 3, 1).await]);
        time::advance(Duration::from_secs(1)).await;
        assert_eq!(taken_for(4, &room, held).await, [2]);
        assert_eq!(room.taken().get(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_whole_body_and_one_of_a_caller_that_holds_less_are_not_taken() {
        let room = Room::new(4 * BLOCK_BYTES);
        let held = vec![claim(&room, 1, 3).await, claim(&room, 2, 1).await];
        held[0].complete();
        assert_eq!(taken_for(1, &room, held).await, [0; 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_s_new_body_takes_the_room_of_its_own_slow_ones() {
        let room = Room::new(2 * BLOCK_BYTES);
        let held = vec![claim(&room, 1, 1).await, claim(&room, 1, 1).await];
        held[1].complete();
        assert_eq!(taken_for(1, &room, held).await, [0]);
    }
}
