//! An exporter of spans that counts its failures and logs an outage of the collector once.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{SpanData, SpanExporter},
};
use tracing::{info, warn};

use super::SpanMetrics;

/// Counts and logs the failures of the exporter inside it.
#[derive(Debug)]
pub(super) struct CountingExporter<E> {
    exporter: E,
    metrics: SpanMetrics,
    /// Spans that ended and that the exporter has not received yet.
    pending: Arc<AtomicUsize>,
    failing: AtomicBool,
}

impl<E> CountingExporter<E> {
    pub(super) fn new(exporter: E, metrics: SpanMetrics) -> Self {
        Self { exporter, metrics, pending: Arc::default(), failing: AtomicBool::new(false) }
    }

    pub(super) fn pending(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.pending)
    }

    fn record(&self, spans: usize, result: &OTelSdkResult) {
        match result {
            Ok(()) => {
                self.metrics.exported(spans);
                if self.failing.swap(false, Ordering::Relaxed) {
                    info!("spans are exported again");
                }
            }
            Err(error) => {
                self.metrics.failed(spans);
                if !self.failing.swap(true, Ordering::Relaxed) {
                    warn!(%error, "spans can't be exported and are lost until they can");
                }
            }
        }
    }
}

impl<E: SpanExporter> SpanExporter for CountingExporter<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        self.pending.fetch_sub(spans, Ordering::Relaxed);
        let result = self.exporter.export(batch).await;
        self.record(spans, &result);
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
