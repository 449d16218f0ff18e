//! Traces over OTLP: OTEL_* enables them, a thread beside the work exports them, and the end of the process
//! flushes them.
//!
//! Spans are `tracing` spans of the target [`trace::TARGET`]. Without an export no subscriber is interested
//! in that target, and such a span costs one check of a flag.

mod exporter;
mod metrics;
mod processor;

use std::{fs, time::Duration};

use anyhow::Context as _;
use opentelemetry::{KeyValue, trace::TracerProvider as _};
use opentelemetry_otlp::{
    Compression, SpanExporter, WithExportConfig as _, WithHttpConfig as _, WithTonicConfig as _,
};
use opentelemetry_sdk::{
    Resource,
    trace::{Sampler, SdkTracer, SdkTracerProvider},
};
use prometheus_client::registry::Registry;
use tokio::{sync::oneshot, time::timeout};
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataKey, MetadataValue},
    service::Interceptor,
};
use tracing::{Subscriber, level_filters::LevelFilter, warn};
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::{Layer, filter::Targets, registry::LookupSpan};

pub(super) use self::metrics::SpanMetrics;
use self::{exporter::CountingExporter, processor::BoundedProcessor};
use super::{
    args::{ExportConfig, Headers, Protocol, Sampling},
    http_client, trace,
};

/// The longest wait for the last spans at the end of the process.
pub(super) const FLUSH: Duration = Duration::from_secs(2);

/// The export of spans; empty if nothing is exported.
#[derive(Clone, Debug, Default)]
pub(super) struct Telemetry {
    provider: Option<SdkTracerProvider>,
    metrics: SpanMetrics,
}

impl Telemetry {
    /// Starts the export that `config` asks for, as the service `name` unless another name is configured. If
    /// the exporter can't be made nothing is exported, and the second part is the reason.
    pub(super) fn start(
        config: Option<&ExportConfig>,
        name: &'static str,
        instance: &str,
    ) -> (Self, Option<String>) {
        let Some(config) = config else { return (Self::default(), None) };
        let exporter = match exporter(config) {
            Ok(exporter) => exporter,
            Err(error) => {
                return (Self::default(), Some(format!("OTEL_*: nothing is exported, {error:#}")));
            }
        };
        let metrics = SpanMetrics::default();
        let processor =
            BoundedProcessor::new(CountingExporter::new(exporter, metrics.clone()), config, metrics.clone());
        let provider = SdkTracerProvider::builder()
            .with_resource(resource(config, name, instance))
            .with_sampler(sampler(config.sampling))
            .with_span_processor(processor)
            .build();
        trace::set_exported();
        (Self { provider: Some(provider), metrics }, None)
    }

    /// The layer that exports spans of [`trace::TARGET`], if spans are exported.
    pub(super) fn layer<S>(&self) -> Option<impl Layer<S> + use<S>>
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        let tracer: SdkTracer = self.provider.as_ref()?.tracer("weir");
        let layer = OpenTelemetryLayer::new(tracer)
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_level(false)
            .with_tracked_inactivity(false);
        Some(layer.with_filter(Targets::new().with_target(trace::TARGET, LevelFilter::INFO)))
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        if self.provider.is_some() {
            self.metrics.register(registry);
        }
    }

    /// Exports the last spans. A thread that takes too long is abandoned, so that a collector that does not
    /// answer does not delay the end of the process.
    pub(super) async fn flush(self) {
        let Some(provider) = self.provider else { return };
        let (done, flushed) = oneshot::channel();
        std::thread::spawn(move || done.send(provider.shutdown_with_timeout(FLUSH)));
        match timeout(FLUSH, flushed).await {
            Ok(Ok(Ok(()))) => {}
            _ => warn!("the last spans were not taken and are lost"),
        }
    }
}

fn exporter(config: &ExportConfig) -> anyhow::Result<SpanExporter> {
    let (endpoint, timeout) = (config.endpoint.as_str(), config.timeout);
    Ok(match config.protocol {
        Protocol::Grpc => {
            let builder = SpanExporter::builder().with_tonic().with_endpoint(endpoint).with_timeout(timeout);
            let builder = builder.with_interceptor(WithHeaders::of(&config.headers)?);
            if config.gzip {
                builder.with_compression(Compression::Gzip).build()?
            } else {
                builder.build()?
            }
        }
        Protocol::HttpProtobuf => {
            let builder = SpanExporter::builder().with_http().with_endpoint(endpoint).with_timeout(timeout);
            let headers = config.headers.0.iter().cloned().collect();
            let builder = builder.with_headers(headers).with_http_client(http_client(config)?);
            if config.gzip {
                builder.with_compression(Compression::Gzip).build()?
            } else {
                builder.build()?
            }
        }
    })
}

/// A thread makes the client, because a blocking client can't be made inside an async runtime.
fn http_client(config: &ExportConfig) -> anyhow::Result<reqwest::blocking::Client> {
    let (builder, timeout) = (http_client::blocking_builder(&config.endpoint), config.timeout);
    let made = std::thread::spawn(move || builder.timeout(timeout).build()).join();
    made.map_err(|_| anyhow::anyhow!("can't make an HTTP client"))?.context("can't make an HTTP client")
}

/// Replaces headers of the same names, because the SDK may have read them from the environment.
#[derive(Clone)]
struct WithHeaders(Vec<(MetadataKey<Ascii>, MetadataValue<Ascii>)>);

impl WithHeaders {
    fn of(headers: &Headers) -> anyhow::Result<Self> {
        let parsed = headers.0.iter().map(|(name, value)| {
            let value = value.parse().context("a header's value can't be sent over gRPC")?;
            Ok((name.parse().context("a header's name can't be sent over gRPC")?, value))
        });
        Ok(Self(parsed.collect::<anyhow::Result<_>>()?))
    }
}

impl Interceptor for WithHeaders {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        for (name, value) in &self.0 {
            request.metadata_mut().insert(name.clone(), value.clone());
        }
        Ok(request)
    }
}

fn sampler(sampling: Sampling) -> Sampler {
    let by_share = Sampler::TraceIdRatioBased(sampling.share);
    if sampling.parent_based { Sampler::ParentBased(Box::new(by_share)) } else { by_share }
}

/// Attributes that the operator sets, in OTEL_SERVICE_NAME or OTEL_RESOURCE_ATTRIBUTES, precede those of the
/// process.
fn resource(config: &ExportConfig, name: &'static str, instance: &str) -> Resource {
    let own = Resource::builder_empty()
        .with_service_name(name)
        .with_attributes([
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", instance.to_owned()),
        ])
        .with_detector(Box::new(opentelemetry_sdk::resource::TelemetryResourceDetector))
        .with_detector(Box::new(opentelemetry_sdk::resource::EnvResourceDetector::new()));
    match &config.service_name {
        Some(name) => own.with_service_name(name.clone()).build(),
        None => own.build(),
    }
}

/// The name that tells this process from others of its role: the name of the machine or container, and the
/// process id.
pub(super) fn instance() -> String {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = host.trim();
    let host = if host.is_empty() { "localhost" } else { host };
    format!("{host}-{}", std::process::id())
}
