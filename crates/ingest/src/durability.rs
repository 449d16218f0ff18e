//! The durability of the journal's acknowledgement: in the log, as a gauge and in the ready probe.

use std::{cell::RefCell, time::Duration};

use tokio::time::{self, MissedTickBehavior};
use tracing::{info, warn};
use weir_journal::{Durability, DurabilityReport, Journal};
use weir_process::{Latch, Stop};

use crate::metrics::PromiseGauge;

/// The time between two checks. The durability changes only when a server starts with another configuration.
const INTERVAL: Duration = Duration::from_secs(10);

/// Checks the journal's promise until `stop`, and reports each change.
pub(crate) async fn watch(journal: Journal, gauge: PromiseGauge, latch: Latch, stop: Stop) {
    let reported = RefCell::new(None);
    let mut tick = time::interval(INTERVAL);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(tick.tick()).await.is_some() {
        let Some(promise) = stop.run_until_cancelled(journal.durability()).await else { return };
        if reported.replace(Some(promise.clone())).as_ref() == Some(&promise) {
            continue;
        }
        report(&promise, &gauge, &latch);
    }
}

fn report(promise: &DurabilityReport, gauge: &PromiseGauge, latch: &Latch) {
    let name = promise.durability.name();
    gauge.show(promise.durability);
    for address in &promise.without_report {
        warn!(
            address,
            "a server of NATS_MONITOR_URL does not report whether it syncs before it acknowledges"
        );
    }
    match shortfall(promise) {
        None => {
            info!(promise = name, "acknowledged events survive a power cut");
            latch.set(Ok(()));
        }
        Some(shortfall) => {
            warn!(promise = name, shortfall, "acknowledged events may be lost in a power cut");
            latch.set(Err(format!("{name}: {shortfall}")));
        }
    }
}

/// The reason why an acknowledged event may not survive a power cut; `None` if it does.
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
            "no server of the journal reports whether it syncs before it acknowledges; set NATS_MONITOR_URL"
                .to_owned(),
        ),
    }
}
