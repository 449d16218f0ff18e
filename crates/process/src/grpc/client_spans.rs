//! A CLIENT span for every call of a channel; the metadata passes it on to the server.

use std::{
    net::SocketAddr,
    sync::Arc,
    task::{Context, Poll},
};

use futures::future::BoxFuture;
use http::{Request, Response};
use tonic::{
    Code, Status,
    body::Body,
    metadata::MetadataMap,
    transport::{Channel, Error},
};
use tower::Service;
use tracing::{Instrument as _, Span, field::Empty, info_span};

use super::call_status::record_on_client;
use crate::{CallContext, TraceContext, trace};

/// A channel to one instance. Cheap to clone.
#[derive(Clone, Debug)]
pub struct TracedChannel {
    channel: Channel,
    peer: SocketAddr,
}

impl TracedChannel {
    /// `peer` is the address that `channel` leads to.
    #[must_use]
    pub fn new(channel: Channel, peer: SocketAddr) -> Self {
        Self { channel, peer }
    }

    /// The same channel for calls outside any trace, such as probes.
    #[must_use]
    pub fn untraced(&self) -> Channel {
        self.channel.clone()
    }
}

/// The origins of a call whose span does not belong to the current span; an extension of its request.
///
/// The span of one origin is its child. The span of several origins is a root that links to each.
#[derive(Clone, Debug)]
pub struct CallOrigins(Arc<[CallContext]>);

impl From<Vec<CallContext>> for CallOrigins {
    fn from(origins: Vec<CallContext>) -> Self {
        Self(origins.into())
    }
}

impl CallOrigins {
    fn adopt(&self, span: &Span, call: &CallContext) {
        match &self.0[..] {
            [] => {}
            [one] => trace::set_parent(span, &one.trace, &one.correlation_id),
            several => {
                // A call without a sampled origin is not sampled.
                let is_sampled = several.iter().any(|origin| origin.trace.is_sampled());
                let none = TraceContext::default();
                let parent = if is_sampled { &none } else { &several[0].trace };
                trace::set_parent(span, parent, &call.correlation_id);
                several.iter().for_each(|origin| trace::link(span, &origin.trace));
            }
        }
    }
}

impl Service<Request<Body>> for TracedChannel {
    type Response = Response<Body>;
    type Error = Error;
    type Future = BoxFuture<'static, Result<Response<Body>, Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.channel.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let span = begin(request.uri().path().trim_start_matches('/'), self.peer);
        if span.is_disabled() {
            return Box::pin(self.channel.call(request));
        }
        pass_on(&span, &mut request);
        let call = self.channel.call(request);
        let answered = async move {
            let answer = call.await;
            let status = match &answer {
                Ok(response) => {
                    Status::from_header_map(response.headers()).map_or(Code::Ok, |status| status.code())
                }
                Err(_) => Code::Unavailable,
            };
            record_on_client(&Span::current(), status);
            answer
        };
        Box::pin(answered.instrument(span))
    }
}

fn begin(method: &str, peer: SocketAddr) -> Span {
    info_span!(
        target: trace::TARGET,
        "call",
        otel.name = method,
        otel.kind = "client",
        rpc.system.name = "grpc",
        rpc.method = method,
        server.address = %peer.ip(),
        server.port = peer.port(),
        rpc.response.status_code = Empty,
        "error.type" = Empty,
    )
}

/// Replaces the trace in the metadata of the call by the span's.
fn pass_on(span: &Span, request: &mut Request<Body>) {
    let origins = request.extensions_mut().remove::<CallOrigins>();
    let mut metadata = MetadataMap::from_headers(std::mem::take(request.headers_mut()));
    let call = CallContext::from_metadata(&metadata);
    if let Some(origins) = origins {
        origins.adopt(span, &call);
    }
    if let Some(own) = trace::context_of(span) {
        let call = CallContext { trace: own, ..call };
        call.write_metadata(&mut metadata);
        if let Ok(baggage) = format!("{}={}", trace::CORRELATION_ID, call.correlation_id).parse() {
            metadata.insert(trace::BAGGAGE, baggage);
        }
    }
    *request.headers_mut() = metadata.into_headers();
}
