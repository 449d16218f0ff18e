//! Holding deliveries while work on them goes on, however long that takes.

use std::{convert::Infallible, time::Duration};

use futures::future::join_all;
use tokio::time::{Instant, interval_at};
use tracing::debug;
use weir_journal::Delivery;

/// Runs `work` and meanwhile tells the journal `every` so often that the deliveries are still in hand.
pub(super) async fn while_held<T>(
    deliveries: &[Delivery],
    every: Duration,
    work: impl Future<Output = T>,
) -> T {
    tokio::select! {
        output = work => output,
        never = hold(deliveries, every) => match never {},
    }
}

async fn hold(deliveries: &[Delivery], every: Duration) -> Infallible {
    let mut tick = interval_at(Instant::now() + every, every);
    loop {
        tick.tick().await;
        for told in join_all(deliveries.iter().map(Delivery::progress)).await {
            if let Err(error) = told {
                debug!(%error, "the journal did not hear of progress");
            }
        }
    }
}
