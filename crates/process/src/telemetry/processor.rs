//! The processor between work and exporter: a bounded queue that never blocks the work, and the correlation
//! id on every span.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use opentelemetry::{Context, KeyValue, baggage::BaggageExt as _, trace::Span as _};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{BatchConfigBuilder, BatchSpanProcessor, Span, SpanData, SpanExporter, SpanProcessor},
};

use super::{SpanMetrics, exporter::CountingExporter};
use crate::{args::ExportConfig, trace::CORRELATION_ID};

/// The largest number of spans that wait for the exporter, some 1 KiB each. Further spans are dropped.
const MAX_WAITING: usize = 8_192;

/// The SDK's batch processor on its own thread, behind a bound whose drops are counted.
#[derive(Debug)]
pub(super) struct BoundedProcessor {
    batches: BatchSpanProcessor,
    pending: Arc<AtomicUsize>,
    metrics: SpanMetrics,
}

impl BoundedProcessor {
    pub(super) fn new<E: SpanExporter + 'static>(
        exporter: CountingExporter<E>,
        config: &ExportConfig,
        metrics: SpanMetrics,
    ) -> Self {
        let pending = exporter.pending();
        let config = BatchConfigBuilder::default()
            .with_max_queue_size(MAX_WAITING)
            .with_max_export_batch_size(config.max_batch)
            .with_scheduled_delay(config.schedule_delay)
            .build();
        let batches = BatchSpanProcessor::builder(exporter).with_batch_config(config).build();
        Self { batches, pending, metrics }
    }
}

impl SpanProcessor for BoundedProcessor {
    /// The correlation id travels as baggage beside the trace, so that every span of a call has it.
    fn on_start(&self, span: &mut Span, context: &Context) {
        if let Some(id) = context.baggage().get(CORRELATION_ID) {
            span.set_attribute(KeyValue::new(CORRELATION_ID, id.as_str().to_owned()));
        }
        self.batches.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if !span.span_context.is_sampled() {
            return;
        }
        if self.pending.fetch_add(1, Ordering::Relaxed) >= MAX_WAITING {
            self.pending.fetch_sub(1, Ordering::Relaxed);
            self.metrics.dropped(1);
            return;
        }
        self.batches.on_end(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.batches.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.batches.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.batches.set_resource(resource);
    }
}
