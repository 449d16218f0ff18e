//! The bound on bytes of bodies over all requests.

use std::{sync::Arc, time::Duration};

use prometheus_client::{metrics::gauge::Gauge, registry::Registry};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What one permit stands for: tokio counts permits of one acquisition in 32 bits.
const BLOCK_BYTES: usize = 4096;
/// How long a request waits for room before it is refused.
const PATIENCE: Duration = Duration::from_secs(30);

/// There was no room for as long as a request waits.
#[derive(Debug)]
pub(super) struct Overloaded;

/// Room for bodies, given first come, first served.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    blocks: Arc<Semaphore>,
    in_flight: Gauge,
    patience: Duration,
}

/// The room of one body, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Reservation {
    permit: Option<OwnedSemaphorePermit>,
    in_flight: Gauge,
}

impl Budget {
    pub(super) fn new(limit_bytes: usize, registry: &mut Registry) -> Self {
        let in_flight = Gauge::default();
        registry.register(
            "weir_edge_body_bytes_in_flight",
            "Bytes of webhook bodies that the edge holds, in blocks of 4 KiB",
            in_flight.clone(),
        );
        let limit: Gauge = Gauge::default();
        limit.set(signed(limit_bytes));
        registry.register(
            "weir_edge_body_bytes_limit",
            "The most bytes of webhook bodies that the edge holds; beyond it new bodies are not read",
            limit,
        );
        Self {
            blocks: Arc::new(Semaphore::new(limit_bytes.div_ceil(BLOCK_BYTES))),
            in_flight,
            patience: PATIENCE,
        }
    }

    pub(super) fn reservation(&self) -> Reservation {
        Reservation { permit: None, in_flight: self.in_flight.clone() }
    }

    /// Makes sure that `reservation` covers `bytes`, waiting for room where there is none.
    ///
    /// A body that waits in the midst keeps what it has; as nobody waits longer than 30 s, bodies that wait for
    /// each other come free again.
    pub(super) async fn cover(&self, reservation: &mut Reservation, bytes: usize) -> Result<(), Overloaded> {
        let held = reservation.permit.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let missing = bytes.div_ceil(BLOCK_BYTES).saturating_sub(held);
        if missing == 0 {
            return Ok(());
        }
        let blocks = u32::try_from(missing).map_err(|_| Overloaded)?;
        let acquire = Arc::clone(&self.blocks).acquire_many_owned(blocks);
        let acquired = tokio::time::timeout(self.patience, acquire).await;
        let further = acquired.map_err(|_| Overloaded)?.map_err(|_| Overloaded)?;
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

    #[tokio::test]
    async fn a_request_waits_for_room_and_is_then_refused() {
        let budget = Budget {
            patience: Duration::from_millis(20),
            ..Budget::new(3 * BLOCK_BYTES, &mut Registry::default())
        };
        let (mut first, mut second) = (budget.reservation(), budget.reservation());
        budget.cover(&mut first, 2 * BLOCK_BYTES).await.unwrap();
        assert!(budget.cover(&mut second, 2 * BLOCK_BYTES).await.is_err());
        assert_eq!(budget.in_flight.get(), signed(2 * BLOCK_BYTES));
        drop(first);
        budget.cover(&mut second, 2 * BLOCK_BYTES).await.unwrap();
    }

    #[tokio::test]
    async fn room_grows_with_the_body_and_is_given_back_whole() {
        let budget = Budget::new(4 * BLOCK_BYTES, &mut Registry::default());
        let mut reservation = budget.reservation();
        for (bytes, blocks) in [(1, 1), (BLOCK_BYTES, 1), (BLOCK_BYTES + 1, 2), (4 * BLOCK_BYTES, 4)] {
            budget.cover(&mut reservation, bytes).await.unwrap();
            assert_eq!(budget.in_flight.get(), signed(blocks * BLOCK_BYTES));
        }
        drop(reservation);
        assert_eq!((budget.in_flight.get(), budget.blocks.available_permits()), (0, 4));
    }
}
