//! What the audit shows.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::{counter::Counter, gauge::Gauge},
    registry::Registry,
};

/// Every collector of a store shows the same figure. Cheap to clone; every clone shows into the same series.
#[derive(Clone, Debug, Default)]
pub(crate) struct AuditMetrics {
    unaccounted: Unaccounted,
    failures: Counter,
}

/// Not shown before it is known.
#[derive(Clone, Debug, Default)]
struct Unaccounted(Arc<OnceLock<Gauge>>);

impl Collector for Unaccounted {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        const NAME: &str = "weir_frames_unaccounted";
        const HELP: &str = "Frames that the journal holds as acknowledged and the store has no record of";
        let Some(gauge) = self.0.get() else { return Ok(()) };
        gauge.encode(encoder.encode_descriptor(NAME, HELP, None, gauge.metric_type())?)
    }
}

impl AuditMetrics {
    /// Registers the families; once in a process.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register_collector(Box::new(metrics.unaccounted.clone()));
        registry.register(
            "weir_audit_failures",
            "Times that journal or store did not answer the audit: the figure is that of the time before",
            metrics.failures.clone(),
        );
        metrics
    }

    pub(crate) fn show(&self, unaccounted: u64) {
        let gauge = self.unaccounted.0.get_or_init(Gauge::default);
        gauge.set(i64::try_from(unaccounted).unwrap_or(i64::MAX));
    }

    pub(crate) fn failed(&self) {
        self.failures.inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_said_before_it_is_known() {
        let mut registry = Registry::default();
        let metrics = AuditMetrics::register(&mut registry);
        let text = |registry: &Registry| {
            let mut text = String::new();
            prometheus_client::encoding::text::encode(&mut text, registry).unwrap();
            text
        };
        assert!(!text(&registry).contains("weir_frames_unaccounted"));
        metrics.show(0);
        assert!(text(&registry).contains("\nweir_frames_unaccounted 0"));
    }
}
