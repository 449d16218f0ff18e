//! Metrics of the collectors' work.

mod audit;
mod people;
mod removal;
mod storing;

use prometheus_client::registry::Registry;
use weir_event::Metrics;
use weir_journal::LostFrameMetrics;
use weir_process::clock::ClockMetrics;

pub(crate) use audit::AuditMetrics;
pub(crate) use people::PeopleMetrics;
pub(crate) use removal::{RemovalMetrics, RemovedCounter};
pub(crate) use storing::StoringMetrics;

/// Everything that collectors show. Cheap to clone; every clone shows into the same series.
#[derive(Clone, Debug)]
pub struct CollectorMetrics {
    pub(crate) events: Metrics,
    pub(crate) storing: StoringMetrics,
    pub(crate) removal: RemovalMetrics,
    pub(crate) audit: AuditMetrics,
    pub(crate) people: PeopleMetrics,
    pub(crate) clock: ClockMetrics,
    pub(crate) lost: LostFrameMetrics,
}

impl CollectorMetrics {
    /// Registers the collectors' own families, once in a process; the others are shared with other roles.
    #[must_use]
    pub fn register(
        registry: &mut Registry,
        events: Metrics,
        clock: ClockMetrics,
        lost: LostFrameMetrics,
    ) -> Self {
        let (storing, removal) = (StoringMetrics::register(registry), RemovalMetrics::register(registry));
        let (audit, people) = (AuditMetrics::register(registry), PeopleMetrics::register(registry));
        Self { events, storing, removal, audit, people, clock, lost }
    }
}
