//! A bound on bytes in flight over everything that a role takes in at once.

use std::{sync::Arc, time::Duration};

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What one permit stands for: tokio counts permits of one acquisition in 32 bits.
const BLOCK_BYTES: usize = 4096;

/// There was no room for as long as was waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overloaded;

/// Room in bytes, given first come, first served. Cheap to clone; every clone is the same room.
#[derive(Clone, Debug)]
pub struct Budget {
    blocks: Arc<Semaphore>,
    in_flight: Gauge,
    limit: Gauge,
}

/// The room that one request has, given back when it is dropped.
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

    /// Further room that others' large requests can't take: it is given by itself, and shown together with this one.
    #[must_use]
    pub fn annex(&self, limit_bytes: usize) -> Self {
        self.limit.inc_by(signed(limit_bytes));
        Self { blocks: Arc::new(Semaphore::new(limit_bytes.div_ceil(BLOCK_BYTES))), ..self.clone() }
    }

    /// Bytes that are reserved, in blocks of 4 KiB.
    #[must_use]
    pub fn in_flight(&self) -> Gauge {
        self.in_flight.clone()
    }

    /// The most bytes that are reserved at once.
    #[must_use]
    pub fn limit(&self) -> Gauge {
        self.limit.clone()
    }

    /// A reservation of nothing yet.
    #[must_use]
    pub fn reservation(&self) -> Reservation {
        Reservation { permit: None, in_flight: self.in_flight.clone() }
    }

    /// Makes sure that `reservation` covers `bytes`, waiting up to `patience` where there is no room.
    ///
    /// A reservation that grows keeps what it has while it waits; as nobody waits for ever, those that wait for each
    /// other come free again.
    ///
    /// # Errors
    /// There was no room within `patience`; the reservation is as it was.
    pub async fn cover(
        &self,
        reservation: &mut Reservation,
        bytes: usize,
        patience: Duration,
    ) -> Result<(), Overloaded> {
        let held = reservation.permit.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let missing = bytes.div_ceil(BLOCK_BYTES).saturating_sub(held);
        if missing == 0 {
            return Ok(());
        }
        let blocks = u32::try_from(missing).map_err(|_| Overloaded)?;
        // Nobody is passed by: what is free for those who wait is theirs already.
        let further = match Arc::clone(&self.blocks).try_acquire_many_owned(blocks) {
            Ok(further) => further,
            Err(_) => {
                let acquire = Arc::clone(&self.blocks).acquire_many_owned(blocks);
                let acquired = tokio::time::timeout(patience, acquire).await;
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

    const PATIENCE: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn a_request_waits_for_room_and_is_then_refused() {
        let budget = Budget::new(3 * BLOCK_BYTES);
        let (mut first, mut second) = (budget.reservation(), budget.reservation());
        budget.cover(&mut first, 2 * BLOCK_BYTES, PATIENCE).await.unwrap();
        assert_eq!(budget.cover(&mut second, 2 * BLOCK_BYTES, PATIENCE).await, Err(Overloaded));
        assert_eq!(budget.in_flight().get(), signed(2 * BLOCK_BYTES));
        drop(first);
        budget.cover(&mut second, 2 * BLOCK_BYTES, PATIENCE).await.unwrap();
    }

    #[tokio::test]
    async fn room_grows_with_the_request_and_is_given_back_whole() {
        let budget = Budget::new(4 * BLOCK_BYTES);
        let mut reservation = budget.reservation();
        for (bytes, blocks) in [(1, 1), (BLOCK_BYTES, 1), (BLOCK_BYTES + 1, 2), (4 * BLOCK_BYTES, 4)] {
            budget.cover(&mut reservation, bytes, PATIENCE).await.unwrap();
            assert_eq!(budget.in_flight().get(), signed(blocks * BLOCK_BYTES));
        }
        drop(reservation);
        assert_eq!((budget.in_flight().get(), budget.limit().get()), (0, signed(4 * BLOCK_BYTES)));
    }

    #[tokio::test]
    async fn an_annex_has_room_when_the_rest_is_full() {
        let budget = Budget::new(BLOCK_BYTES);
        let annex = budget.annex(BLOCK_BYTES);
        let (mut large, mut small) = (budget.reservation(), annex.reservation());
        budget.cover(&mut large, BLOCK_BYTES, PATIENCE).await.unwrap();
        annex.cover(&mut small, 1, PATIENCE).await.unwrap();
        assert_eq!(
            (budget.in_flight().get(), budget.limit().get()),
            (signed(2 * BLOCK_BYTES), signed(2 * BLOCK_BYTES))
        );
    }
}
