//! Tells what the journal's yes is worth: in the log, as a gauge and in the ready probe.

use std::{cell::RefCell, time::Duration};

use tokio::time::{self, MissedTickBehavior};
use tracing::{info, warn};
use weir_journal::{Durability, DurabilityReport, Journal};
use weir_process::{Latch, Stop};

use crate::metrics::PromiseGauge;

/// It changes only when somebody starts a server with another configuration.
const INTERVAL: Duration = Duration::from_secs(10);

/// Keeps telling, until `stop`.
pub(crate) async fn watch(journal: Journal, gauge: PromiseGauge, latch: Latch, stop: Stop) {
    let told = RefCell::new(None);
    let mut tick = time::interval(INTERVAL);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(tick.tick()).await.is_some() {
        let Some(promise) = stop.run_until_cancelled(journal.durability()).await else { return };
        if told.replace(Some(promise.clone())).as_ref() == Some(&promise) {
            continue;
        }
        tell(&promise, &gauge, &latch);
    }
}

fn tell(promise: &DurabilityReport, gauge: &PromiseGauge, latch: &Latch) {
    let name = promise.durability.name();
    gauge.show(promise.durability);
    for address in &promise.without_report {
        warn!(address, "a server of NATS_MONITOR_URL does not say what an acknowledgement outlives");
    }
    match shortfall(promise) {
        None => {
            info!(promise = name, "what is acknowledged outlives a power cut");
            latch.set(Ok(()));
        }
        Some(shortfall) => {
            warn!(promise = name, shortfall, "what is acknowledged may be lost");
            latch.set(Err(format!("{name}: {shortfall}")));
        }
    }
}

/// Why an acknowledged event may not outlive a power cut.
fn shortfall(promise: &DurabilityReport) -> Option<String> {
    const SYNC: &str = "the journal's server acknowledges before it syncs; set its sync_interval to always";
    match promise.durability {
        Durability::PowerLoss => None,
        Durability::ProcessCrash => Some(SYNC.to_owned()),
        Durability::Unknown if promise.has_monitors => Some(format!(
            "NATS_MONITOR_URL must name the monitoring ports of nats-servers: {}",
            promise.without_report.join("; ")
        )),
        Durability::Unknown => Some(
            "no server of the journal says whether it syncs before it acknowledges; set NATS_MONITOR_URL"
                .to_owned(),
        ),
    }
}
