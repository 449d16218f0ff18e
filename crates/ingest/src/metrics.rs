//! What ingest shows of itself besides the metrics of every role.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{family::Family, gauge::Gauge},
    registry::Registry,
};
use weir_journal::Durability;
use weir_process::Budget;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PromiseLabels {
    promise: &'static str,
}

/// What the journal's acknowledgement outlives: 1 at the promise that holds, 0 at the others.
#[derive(Clone, Debug, Default)]
pub(crate) struct PromiseGauge(Family<PromiseLabels, Gauge>);

impl PromiseGauge {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let gauge = Self::default();
        registry.register(
            "weir_journal_durability",
            "What an acknowledged event outlives: 1 at power_loss, process_crash or unknown",
            gauge.0.clone(),
        );
        gauge
    }

    pub(crate) fn show(&self, durability: Durability) {
        for promise in Durability::ALL {
            let labels = PromiseLabels { promise: promise.name() };
            self.0.get_or_create(&labels).set(i64::from(promise == durability));
        }
    }
}

/// Shows the room for calls.
pub(crate) fn register_calls(budget: &Budget, registry: &mut Registry) {
    registry.register(
        "weir_ingest_call_bytes_in_flight",
        "Bytes of PublishEvents calls that ingest works on, as they came over the wire, in blocks of 4 KiB",
        budget.in_flight(),
    );
    registry.register(
        "weir_ingest_call_bytes_limit",
        "The most bytes of PublishEvents calls that ingest takes in at once; beyond it calls wait, then are refused",
        budget.limit(),
    );
}
