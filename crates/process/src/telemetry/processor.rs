//! Between the work and the exporter: a bounded queue that never makes the work wait, and the correlation id on
//! every span.

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

use super::{SpanMetrics, exporter::Watched};
use crate::{args::ExportConfig, trace::CORRELATION_ID};

/// Spans that wait for the exporter, some 1 KiB each: what comes while they do is dropped.
const MOST_WAITING: usize = 8_192;

/// The SDK's batches on a thread of their own, behind a bound whose drops are counted.
#[derive(Debug)]
pub(super) struct Bounded {
    batches: BatchSpanProcessor,
    waiting: Arc<AtomicUsize>,
    metrics: SpanMetrics,
}

impl Bounded {
    pub(super) fn new<E: SpanExporter + 'static>(
        exporter: Watched<E>,
        config: &ExportConfig,
        metrics: SpanMetrics,
    ) -> Self {
        let waiting = exporter.waiting();
        let config = BatchConfigBuilder::default()
            .with_max_queue_size(MOST_WAITING)
            .with_max_export_batch_size(config.most_in_batch)
            .with_scheduled_delay(config.schedule_delay)
            .build();
        let batches = BatchSpanProcessor::builder(exporter).with_batch_config(config).build();
        Self { batches, waiting, metrics }
    }
}

impl SpanProcessor for Bounded {
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
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= MOST_WAITING {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
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
