//! Tells what the journal's yes is worth: in the log, as a gauge and in the ready probe.

use std::{cell::Cell, time::Duration};

use tokio::time::{self, MissedTickBehavior};
use tracing::{info, warn};
use weir::{
    journal::{Durability, Journal},
    process::{Latch, Stop},
};

use crate::metrics::PromiseGauge;

/// It changes only when somebody starts a server with another configuration.
const INTERVAL: Duration = Duration::from_secs(10);

/// Keeps telling, until `stop`.
pub(crate) async fn watch(journal: Journal, gauge: PromiseGauge, latch: Latch, stop: Stop) {
    let told = Cell::new(None);
    let mut tick = time::interval(INTERVAL);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(tick.tick()).await.is_some() {
        let Some(promise) = stop.run_until_cancelled(journal.durability()).await else { return };
        if told.replace(Some(promise)) == Some(promise) {
            continue;
        }
        gauge.show(promise);
        latch.set(shortfall(promise).map_or(Ok(()), |what| Err(format!("{}: {what}", promise.name()))));
        match shortfall(promise) {
            None => info!(promise = promise.name(), "what is acknowledged outlives a power cut"),
            Some(shortfall) => warn!(promise = promise.name(), shortfall, "what is acknowledged may be lost"),
        }
    }
}

/// Why an acknowledged event may not outlive a power cut.
fn shortfall(promise: Durability) -> Option<&'static str> {
    match promise {
        Durability::PowerLoss => None,
        Durability::ProcessCrash => {
            Some("the journal's server acknowledges before it syncs; set its sync_interval to always")
        }
        Durability::Unknown => Some(
            "no server of the journal says whether it syncs before it acknowledges; set NATS_MONITOR_URL",
        ),
    }
}
