//! The exporter, watched: what it fails at is counted, and an outage of the collector is told once.

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

/// An exporter whose failures are seen.
#[derive(Debug)]
pub(super) struct Watched<E> {
    exporter: E,
    metrics: SpanMetrics,
    /// Spans that ended and that this exporter was not given yet.
    waiting: Arc<AtomicUsize>,
    failing: AtomicBool,
}

impl<E> Watched<E> {
    pub(super) fn new(exporter: E, metrics: SpanMetrics) -> Self {
        Self { exporter, metrics, waiting: Arc::default(), failing: AtomicBool::new(false) }
    }

    pub(super) fn waiting(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.waiting)
    }

    fn tell(&self, spans: usize, result: &OTelSdkResult) {
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

impl<E: SpanExporter> SpanExporter for Watched<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        self.waiting.fetch_sub(spans, Ordering::Relaxed);
        let result = self.exporter.export(batch).await;
        self.tell(spans, &result);
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
