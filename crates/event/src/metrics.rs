//! The counters of events, shared by edge, ingest and collectors.

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder},
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

use super::Source;
use weir::contract::enums::UNKNOWN;

/// A role of Weir: the `service` label, and OpenTelemetry's `service.name`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Service {
    Edge,
    Ingest,
    FacebookCollector,
    TiktokCollector,
    Reporting,
}

impl Service {
    /// The value of the label.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Edge => "edge",
            Self::Ingest => "ingest",
            Self::FacebookCollector => "facebook-collector",
            Self::TiktokCollector => "tiktok-collector",
            Self::Reporting => "reporting",
        }
    }

    /// The collector of a source.
    #[must_use]
    pub fn collector(source: Source) -> Self {
        match source {
            Source::Facebook => Self::FacebookCollector,
            Source::Tiktok => Self::TiktokCollector,
        }
    }
}

/// The cause that kept events from being accepted or stored: the `error_type` label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorType {
    /// The item breaks a rule of the gate.
    Invalid,
    /// The item or the frame is over a limit of bytes.
    TooLarge,
    /// The journal refuses appends until collectors have made room.
    JournalFull,
    /// The journal did not acknowledge in time, or can't be reached.
    JournalUnavailable,
    /// A client is over its quota.
    Quota,
    /// The process has no room for more calls.
    Overloaded,
    /// The database refuses the event; it is a dead letter.
    Parked,
    /// The database can't store the event now; the collector tries again.
    Transient,
}

impl ErrorType {
    /// The value of the label.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::TooLarge => "too_large",
            Self::JournalFull => "journal_full",
            Self::JournalUnavailable => "journal_unavailable",
            Self::Quota => "quota",
            Self::Overloaded => "overloaded",
            Self::Parked => "parked",
            Self::Transient => "transient",
        }
    }
}

/// The `source` label: `unknown` if an item names no source that exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct SourceLabel(Option<Source>);

macro_rules! label_value {
    ($type:ty, |$value:ident| $name:expr) => {
        impl EncodeLabelValue for $type {
            fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
                let $value = self;
                EncodeLabelValue::encode(&$name, encoder)
            }
        }
    };
}
label_value!(Service, |service| service.name());
label_value!(ErrorType, |error_type| error_type.name());
label_value!(SourceLabel, |label| label.0.map_or(UNKNOWN, Source::name));

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    service: Service,
    source: SourceLabel,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FailureLabels {
    service: Service,
    source: SourceLabel,
    error_type: ErrorType,
}

/// Counters of events. Cheap to clone; every clone counts into the same series.
#[derive(Clone, Debug, Default)]
pub struct EventMetrics {
    accepted: Family<Labels, Counter>,
    processed: Family<Labels, Counter>,
    duplicate: Family<Labels, Counter>,
    redelivered: Family<Labels, Counter>,
    deferred: Family<Labels, Counter>,
    failed: Family<FailureLabels, Counter>,
}

impl EventMetrics {
    /// Registers the families. A process that hosts several roles registers them once.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "events_accepted",
            "Events that are durable in the journal, by the role that acknowledged them",
            metrics.accepted.clone(),
        );
        registry.register(
            "events_processed",
            "Events that a collector stored or recognised as duplicates",
            metrics.processed.clone(),
        );
        registry.register(
            "events_duplicate",
            "Events whose identity was already stored; they count as processed too",
            metrics.duplicate.clone(),
        );
        registry.register(
            "frames_redelivered",
            "Frames that the journal delivered again although they were stored",
            metrics.redelivered.clone(),
        );
        registry.register(
            "frames_left",
            "Deliveries of frames whose version is newer than the collector, which left them to newer ones",
            metrics.deferred.clone(),
        );
        registry.register(
            "events_failed",
            "Events that were refused, parked or will be tried again",
            metrics.failed.clone(),
        );
        metrics
    }

    /// Counts events that are durable in the journal.
    pub fn accepted(&self, service: Service, source: Source, events: u64) {
        self.accepted.get_or_create(&Labels { service, source: SourceLabel(Some(source)) }).inc_by(events);
    }

    /// Counts events that a collector processed; `duplicates` of the `events` were stored before.
    pub fn processed(&self, service: Service, source: Source, events: u64, duplicates: u64) {
        let labels = Labels { service, source: SourceLabel(Some(source)) };
        self.processed.get_or_create(&labels).inc_by(events);
        self.duplicate.get_or_create(&labels).inc_by(duplicates);
    }

    /// Counts one delivery of a frame that was stored before.
    pub fn redelivered(&self, service: Service, source: Source) {
        self.redelivered.get_or_create(&Labels { service, source: SourceLabel(Some(source)) }).inc();
    }

    /// Counts one delivery of a frame that the collector deferred because its version is newer.
    pub fn deferred(&self, service: Service, source: Source) {
        self.deferred.get_or_create(&Labels { service, source: SourceLabel(Some(source)) }).inc();
    }

    /// Counts events that were refused, parked or will be tried again; `None` is the source `unknown`.
    pub fn failed(&self, service: Service, source: Option<Source>, error_type: ErrorType, events: u64) {
        let labels = FailureLabels { service, source: SourceLabel(source), error_type };
        self.failed.get_or_create(&labels).inc_by(events);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_families_have_their_documented_names_and_labels() {
        let mut registry = Registry::default();
        let metrics = EventMetrics::register(&mut registry);
        metrics.accepted(Service::Edge, Source::Facebook, 2);
        metrics.processed(Service::TiktokCollector, Source::Tiktok, 3, 1);
        metrics.failed(Service::Ingest, None, ErrorType::TooLarge, 4);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            r#"events_accepted_total{service="edge",source="facebook"} 2"#,
            r#"events_processed_total{service="tiktok-collector",source="tiktok"} 3"#,
            r#"events_duplicate_total{service="tiktok-collector",source="tiktok"} 1"#,
            r#"events_failed_total{service="ingest",source="unknown",error_type="too_large"} 4"#,
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    }
}
