//! Deliveries in hand: heartbeats while a worker processes them, and the verdict that ends each.

use std::{convert::Infallible, time::Duration};

use futures::future::join_all;
use tokio::time::{Instant, interval_at};
use tracing::debug;
use weir_journal::{Content, Delivery, MAX_FRAME_EVENTS};

/// The most events of one transaction. From a thousand up, the rows per second stay the same. A shorter transaction
/// lets other collectors wait for less time, and takes less memory.
pub(super) const MAX_EVENTS: usize = 4_096;
/// The most deliveries that a worker takes at once. Few, because a worker that freezes keeps them from its peers.
pub(super) const DELIVERIES_PER_PULL: usize = 32;

/// The most deliveries to take next. Where the last ones were of many events, so few that one transaction stores as many:
/// decoded events take several times the bytes of their frames.
pub(super) fn next_deliveries(last: &[Delivery]) -> usize {
    let events = last.iter().map(|delivery| match delivery.content() {
        Ok(Content::Events(frame)) => frame.events.len(),
        _ => 0,
    });
    deliveries_for(last.len(), events.sum())
}

/// The deliveries of one transaction, where so many `deliveries` had so many `events`.
fn deliveries_for(deliveries: usize, events: usize) -> usize {
    let least = MAX_EVENTS / MAX_FRAME_EVENTS;
    let full = (MAX_EVENTS * deliveries).checked_div(events);
    full.map_or(DELIVERIES_PER_PULL, |full| full.clamp(least, DELIVERIES_PER_PULL))
}

/// The verdict that ends a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DeliveryVerdict {
    /// The store has all of its events, or they are dead letters.
    Acknowledge,
    /// The journal redelivers the frame after this time, to any worker of the source.
    RetryIn(Duration),
}

impl DeliveryVerdict {
    /// Sends the verdict to the journal. A verdict that does not arrive is harmless: the journal redelivers the frame,
    /// and the store recognises the frame's id.
    pub(super) async fn apply(self, delivery: Delivery) {
        let applied = match self {
            Self::Acknowledge => delivery.ack().await,
            Self::RetryIn(delay) => delivery.retry_in(delay).await,
        };
        if let Err(error) = applied {
            debug!(%error, "acknowledgement failed; the journal will redeliver the frame");
        }
    }
}

/// Runs `work`, and meanwhile reports to the journal `every` so often that the deliveries are still in hand.
pub(super) async fn with_heartbeat<T>(
    deliveries: &[Delivery],
    every: Duration,
    work: impl Future<Output = T>,
) -> T {
    tokio::select! {
        output = work => output,
        never = heartbeat(deliveries, every) => match never {},
    }
}

async fn heartbeat(deliveries: &[Delivery], every: Duration) -> Infallible {
    let mut tick = interval_at(Instant::now() + every, every);
    loop {
        tick.tick().await;
        for reported in join_all(deliveries.iter().map(Delivery::progress)).await {
            if let Err(error) = reported {
                debug!(%error, "a heartbeat failed");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_large_frames_fewer_are_taken() {
        for (deliveries, events, next) in
            [(0, 0, 32), (32, 0, 32), (32, 32, 32), (20, 20 * 512, 8), (32, 32 * 512, 8), (10, 10 * 400, 10)]
        {
            assert_eq!(deliveries_for(deliveries, events), next, "{deliveries} {events}");
        }
    }
}
