//! Metrics of connections, by listener.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

/// The reason that a connection was closed before its peer closed it: the `reason` label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CloseReason {
    /// It sent no whole head in time.
    SlowHead,
    /// Its head was over 40 KiB, and so were many others.
    LargeHead,
    /// It sent no request for too long.
    Idle,
    /// It took nothing of a response for too long.
    Unread,
    /// There were too many, and its address had most of them.
    Evicted,
}

impl CloseReason {
    const ALL: [Self; 5] = [Self::SlowHead, Self::LargeHead, Self::Idle, Self::Unread, Self::Evicted];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::SlowHead => "slow_head",
            Self::LargeHead => "large_head",
            Self::Idle => "idle",
            Self::Unread => "unread",
            Self::Evicted => "evicted",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ListenerLabel {
    listener: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ClosedLabels {
    listener: &'static str,
    reason: &'static str,
}

/// Cheap to clone; every clone is the same.
#[derive(Clone, Debug, Default)]
pub(super) struct ConnectionMetrics {
    open: Family<ListenerLabel, Gauge>,
    limit: Family<ListenerLabel, Gauge>,
    closed: Family<ClosedLabels, Counter>,
}

impl ConnectionMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("weir_connections", "Open connections", self.open.clone());
        registry.register(
            "weir_connections_limit",
            "The most open connections of a listener; beyond it those of the address with most of them are closed",
            self.limit.clone(),
        );
        registry.register(
            "weir_connections_closed",
            "Connections that were closed before their peer closed them",
            self.closed.clone(),
        );
    }

    pub(super) fn open(&self, listener: &'static str) -> Gauge {
        self.open.get_or_create_owned(&ListenerLabel { listener })
    }

    /// Shows the series of a listener from its start on.
    pub(super) fn expect(&self, listener: &'static str) {
        for reason in CloseReason::ALL {
            drop(self.closed.get_or_create(&ClosedLabels { listener, reason: reason.name() }));
        }
    }

    pub(super) fn set_limit(&self, listener: &'static str, limit: usize) {
        self.limit.get_or_create(&ListenerLabel { listener }).set(i64::try_from(limit).unwrap_or(i64::MAX));
    }

    pub(super) fn closed(&self, listener: &'static str, reason: CloseReason) {
        self.closed.get_or_create(&ClosedLabels { listener, reason: reason.name() }).inc();
    }
}
