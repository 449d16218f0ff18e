//! A trace collector that accepts spans over OTLP and keeps them for assertions.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use async_compression::tokio::bufread::GzipDecoder;
use axum::{Router, extract::State, http::HeaderMap, routing::post};
use bytes::Bytes;
use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::{AnyValue, KeyValue, any_value::Value},
    trace::v1::{self as otlp, ResourceSpans, span::SpanKind, status::StatusCode},
};
use prost::Message as _;
use tokio::{io::AsyncReadExt as _, net::TcpListener, task::JoinHandle};
use tonic::{
    Request, Response, Status,
    codec::CompressionEncoding,
    transport::{Server, server::TcpIncoming},
};

use super::eventually;

/// A running collector. It ends when dropped.
#[derive(Debug)]
pub struct TraceCollector {
    address: SocketAddr,
    spans: Spans,
    server: JoinHandle<()>,
}

/// One exported span. Ids are hexadecimal.
#[derive(Clone, Debug)]
pub struct Span {
    /// The attributes of the resource, such as `service.name`.
    pub resource: BTreeMap<String, String>,
    pub name: String,
    pub kind: SpanKind,
    pub trace: String,
    pub id: String,
    /// The id of the parent span; empty for a root.
    pub parent: String,
    /// The linked spans, as trace id and span id.
    pub links: Vec<(String, String)>,
    pub attributes: BTreeMap<String, String>,
    pub failed: bool,
}

#[derive(Clone, Debug, Default)]
struct Spans(Arc<Mutex<Vec<Span>>>);

impl TraceCollector {
    /// Starts a collector that accepts gRPC.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let spans = Spans::default();
        let service = TraceServiceServer::new(spans.clone()).accept_compressed(CompressionEncoding::Gzip);
        let serving = Server::builder().add_service(service).serve_with_incoming(TcpIncoming::from(listener));
        let server = tokio::spawn(async move { serving.await.expect("the listener goes on") });
        Self { address, spans, server }
    }

    /// Starts a collector that accepts protobuf over HTTP.
    pub async fn over_http() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let spans = Spans::default();
        let router = Router::new().route("/v1/traces", post(export_over_http)).with_state(spans.clone());
        let server =
            tokio::spawn(async { axum::serve(listener, router).await.expect("the listener goes on") });
        Self { address, spans, server }
    }

    /// The address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The settings that make a process export to this collector.
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        settings(self.address)
    }

    /// The spans that have arrived so far.
    pub fn spans(&self) -> Vec<Span> {
        self.spans.0.lock().unwrap().clone()
    }

    /// Waits for a span that satisfies `wanted`.
    pub async fn find(&self, wanted: impl Fn(&Span) -> bool) -> Span {
        eventually(async || {
            let spans = self.spans();
            let found = spans.iter().find(|span| wanted(span)).cloned();
            found.ok_or_else(|| spans.into_iter().map(|span| (span.name, span.trace)).collect::<Vec<_>>())
        })
        .await
    }
}

/// The settings that make a process export to `address` over gRPC, with a delay of 100 ms.
pub fn settings(address: SocketAddr) -> Vec<(&'static str, String)> {
    vec![
        ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{address}")),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc".to_owned()),
        ("OTEL_BSP_SCHEDULE_DELAY", "100".to_owned()),
    ]
}

impl Drop for TraceCollector {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Span {
    /// The `service.name` of the resource; empty if it has none.
    pub fn service(&self) -> &str {
        self.resource.get("service.name").map_or("", String::as_str)
    }

    /// The value of an attribute; empty if the span has none of this name.
    pub fn attribute(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }

    /// Whether this span has a link to `other`.
    pub fn links_to(&self, other: &Self) -> bool {
        self.links.iter().any(|(trace, span)| (trace, span) == (&other.trace, &other.id))
    }

    /// Whether `other` is the parent of this span.
    pub fn is_child_of(&self, other: &Self) -> bool {
        (&self.trace, &self.parent) == (&other.trace, &other.id)
    }

    fn of(resource: &BTreeMap<String, String>, span: otlp::Span) -> Self {
        let links = span.links.iter().map(|link| (hex::encode(&link.trace_id), hex::encode(&link.span_id)));
        Self {
            resource: resource.clone(),
            kind: span.kind(),
            trace: hex::encode(&span.trace_id),
            id: hex::encode(&span.span_id),
            parent: hex::encode(&span.parent_span_id),
            links: links.collect(),
            attributes: attributes(span.attributes),
            failed: span.status.is_some_and(|status| status.code() == StatusCode::Error),
            name: span.name,
        }
    }
}

impl Spans {
    fn add(&self, request: ExportTraceServiceRequest) {
        for ResourceSpans { resource, scope_spans, .. } in request.resource_spans {
            let resource = attributes(resource.unwrap_or_default().attributes);
            let spans = scope_spans.into_iter().flat_map(|scope| scope.spans);
            self.0.lock().unwrap().extend(spans.map(|span| Span::of(&resource, span)));
        }
    }
}

async fn export_over_http(State(spans): State<Spans>, headers: HeaderMap, body: Bytes) {
    let mut plain = body.to_vec();
    if headers.get("content-encoding").is_some_and(|encoding| encoding == "gzip") {
        plain.clear();
        GzipDecoder::new(&body[..]).read_to_end(&mut plain).await.expect("a body with this header is gzip");
    }
    spans.add(ExportTraceServiceRequest::decode(&plain[..]).expect("an export request"));
}

#[tonic::async_trait]
impl TraceService for Spans {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.add(request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

fn attributes(pairs: Vec<KeyValue>) -> BTreeMap<String, String> {
    let text = |value: Option<AnyValue>| match value.and_then(|value| value.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    };
    pairs.into_iter().map(|pair| (pair.key, text(pair.value))).collect()
}
