//! A limit of the bytes in flight, over all requests that a role accepts.

use std::{sync::Arc, time::Duration};

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The bytes of one permit. tokio counts the permits of one acquisition in 32 bits.
const BLOCK_BYTES: usize = 4096;

/// The budget had no room within the longest wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overloaded;

/// Bytes that requests reserve, first come, first served. Cheap to clone; every clone is the same budget.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// use std::time::Duration;
/// use weir_process::{Budget, Overloaded};
///
/// let budget = Budget::new(8192);
/// let (mut first, mut second) = (budget.reservation(), budget.reservation());
/// assert_eq!(budget.cover(&mut first, 8000, Duration::ZERO).await, Ok(()));
/// assert_eq!(budget.cover(&mut second, 1, Duration::ZERO).await, Err(Overloaded));
/// drop(first);
/// assert_eq!(budget.cover(&mut second, 1, Duration::ZERO).await, Ok(()));
/// # });
/// ```
#[derive(Clone, Debug)]
pub struct Budget {
    blocks: Arc<Semaphore>,
    in_flight: Gauge,
    limit: Gauge,
}

/// The bytes that one request reserves; dropping it frees them.
#[derive(Debug)]
pub struct Reservation {
    permit: Option<OwnedSemaphorePermit>,
    in_flight: Gauge,
}

impl Budget {
    #[must_use]
    pub fn new(limit_bytes: usize) -> Self {
        let limit = Gauge::default();
        limit.set(signed(limit_bytes));
        let blocks = Arc::new(Semaphore::new(limit_bytes.div_ceil(BLOCK_BYTES)));
        Self { blocks, in_flight: Gauge::default(), limit }
    }

    /// Adds a separate budget that large requests of this one can't exhaust. The gauges of both show their
    /// sum.
    #[must_use]
    pub fn partition(&self, limit_bytes: usize) -> Self {
        self.limit.inc_by(signed(limit_bytes));
        Self { blocks: Arc::new(Semaphore::new(limit_bytes.div_ceil(BLOCK_BYTES))), ..self.clone() }
    }

    /// The reserved bytes, in blocks of 4 KiB.
    #[must_use]
    pub fn in_flight(&self) -> Gauge {
        self.in_flight.clone()
    }

    /// The largest number of bytes that can be reserved at once.
    #[must_use]
    pub fn limit(&self) -> Gauge {
        self.limit.clone()
    }

    /// An empty reservation.
    #[must_use]
    pub fn reservation(&self) -> Reservation {
        Reservation { permit: None, in_flight: self.in_flight.clone() }
    }

    /// Grows `reservation` until it covers `bytes`, and waits up to `max_wait` for room.
    ///
    /// A growing reservation keeps its bytes while it waits. Two of them may wait for each other, but never
    /// for longer than `max_wait`.
    ///
    /// # Errors
    /// The budget had no room within `max_wait`; the reservation is unchanged.
    pub async fn cover(
        &self,
        reservation: &mut Reservation,
        bytes: usize,
        max_wait: Duration,
    ) -> Result<(), Overloaded> {
        let held = reservation.permit.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let missing = bytes.div_ceil(BLOCK_BYTES).saturating_sub(held);
        if missing == 0 {
            return Ok(());
        }
        let blocks = u32::try_from(missing).map_err(|_| Overloaded)?;
        // The semaphore is fair: free permits already belong to the requests that wait.
        let further = match Arc::clone(&self.blocks).try_acquire_many_owned(blocks) {
            Ok(further) => further,
            Err(_) => {
                let acquire = Arc::clone(&self.blocks).acquire_many_owned(blocks);
                let acquired = tokio::time::timeout(max_wait, acquire).await;
                acquired.map_err(|_| Overloaded)?.map_err(|_| Overloaded)?
            }
        };
        self.in_flight.inc_by(signed(missing * BLOCK_BYTES));
        match &mut reservation.permit {
            Some(permit) => permit.merge(further),
            None => reservation.permit = Some(further),
        }
        Ok(())
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let blocks = self.permit.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        self.in_flight.dec_by(signed(blocks * BLOCK_BYTES));
    }
}

fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX_WAIT: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn a_request_waits_for_room_and_is_then_refused() {
        let budget = Budget::new(3 * BLOCK_BYTES);
        let (mut first, mut second) = (budget.reservation(), budget.reservation());
        budget.cover(&mut first, 2 * BLOCK_BYTES, MAX_WAIT).await.unwrap();
        assert_eq!(budget.cover(&mut second, 2 * BLOCK_BYTES, MAX_WAIT).await, Err(Overloaded));
        assert_eq!(budget.in_flight().get(), signed(2 * BLOCK_BYTES));
        drop(first);
        budget.cover(&mut second, 2 * BLOCK_BYTES, MAX_WAIT).await.unwrap();
    }

    #[tokio::test]
    async fn a_reservation_grows_and_is_freed_whole() {
        let budget = Budget::new(4 * BLOCK_BYTES);
        let mut reservation = budget.reservation();
        for (bytes, blocks) in [(1, 1), (BLOCK_BYTES, 1), (BLOCK_BYTES + 1, 2), (4 * BLOCK_BYTES, 4)] {
            budget.cover(&mut reservation, bytes, MAX_WAIT).await.unwrap();
            assert_eq!(budget.in_flight().get(), signed(blocks * BLOCK_BYTES));
        }
        drop(reservation);
        assert_eq!((budget.in_flight().get(), budget.limit().get()), (0, signed(4 * BLOCK_BYTES)));
    }

    #[tokio::test]
    async fn a_separate_budget_has_room_when_the_other_one_is_exhausted() {
        let budget = Budget::new(BLOCK_BYTES);
        let partition = budget.partition(BLOCK_BYTES);
        let (mut large, mut small) = (budget.reservation(), partition.reservation());
        budget.cover(&mut large, BLOCK_BYTES, MAX_WAIT).await.unwrap();
        partition.cover(&mut small, 1, MAX_WAIT).await.unwrap();
        assert_eq!(
            (budget.in_flight().get(), budget.limit().get()),
            (signed(2 * BLOCK_BYTES), signed(2 * BLOCK_BYTES))
        );
    }
}
