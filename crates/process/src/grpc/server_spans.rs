//! A SERVER span for every call, as a child of the caller's span; log entries of the call carry its
//! correlation id.

use std::{
    collections::HashSet,
    sync::Arc,
    task::{Context, Poll},
};

use futures::future::BoxFuture;
use http::{Request, Response};
use prost::Message as _;
use prost_types::FileDescriptorSet;
use tonic::{Status, body::Body, metadata::MetadataMap};
use tower::{Layer, Service};
use tracing::{Instrument as _, Span, field::Empty, info_span};

use super::{call_status::record_on_server, spanned_body::SpannedBody};
use crate::{CallContext, CorrelationId, LogContext, trace};

/// The methods whose calls are traced, as `package.Service/Method`.
///
/// A call of any other path has no span, because the caller invented its name.
#[derive(Clone, Debug)]
pub(super) struct ServerSpans {
    methods: Arc<HashSet<String>>,
}

/// A service whose calls have spans.
#[derive(Clone, Debug)]
pub(super) struct Spanned<S> {
    service: S,
    methods: Arc<HashSet<String>>,
}

impl ServerSpans {
    /// The methods of the services `names`, which `descriptors` describe.
    ///
    /// # Errors
    /// The descriptors can't be decoded.
    pub(super) fn of(names: &[&str], descriptors: &[u8]) -> Result<Self, prost::DecodeError> {
        let files = FileDescriptorSet::decode(descriptors)?.file;
        let methods = files.iter().flat_map(|file| {
            file.service.iter().flat_map(|service| {
                let service_name = format!("{}.{}", file.package(), service.name());
                service.method.iter().map(move |method| format!("{service_name}/{}", method.name()))
            })
        });
        let ours = |method: &String| names.iter().any(|name| method.split('/').next() == Some(name));
        Ok(Self { methods: Arc::new(methods.filter(ours).collect()) })
    }
}

impl<S> Layer<S> for ServerSpans {
    type Service = Spanned<S>;

    fn layer(&self, service: S) -> Spanned<S> {
        Spanned { service, methods: Arc::clone(&self.methods) }
    }
}

impl<S, B> Service<Request<B>> for Spanned<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<Body>, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let Some(method) = self.methods.get(request.uri().path().trim_start_matches('/')) else {
            return Box::pin(self.service.call(request));
        };
        let span = begin(method);
        let correlation_id = adopt(&span, &mut request);
        let logged = LogContext::new(correlation_id);
        let call = span.in_scope(|| logged.clone().within_sync(|| self.service.call(request)));
        let call = logged.within(call);
        if span.is_disabled() {
            return Box::pin(call);
        }
        let answered = async move {
            let response = call.await?;
            let span = Span::current();
            if let Some(status) = Status::from_header_map(response.headers()) {
                record_on_server(&span, status.code());
                return Ok(response);
            }
            Ok(response.map(|body| Body::new(SpannedBody::new(body, span))))
        };
        Box::pin(answered.instrument(span))
    }
}

fn begin(method: &str) -> Span {
    info_span!(
        target: trace::TARGET,
        "call",
        otel.name = method,
        otel.kind = "server",
        rpc.system.name = "grpc",
        rpc.method = method,
        rpc.response.status_code = Empty,
        "error.type" = Empty,
    )
}

/// Makes the span a child of the caller's span, and passes the span on to the handler. Generates a missing
/// correlation id.
fn adopt<B>(span: &Span, request: &mut Request<B>) -> CorrelationId {
    let mut metadata = MetadataMap::from_headers(std::mem::take(request.headers_mut()));
    let mut call = CallContext::from_metadata(&metadata);
    trace::set_parent(span, &call.trace, &call.correlation_id);
    if let Some(own) = trace::context_of(span) {
        call.trace = own;
    }
    call.write_metadata(&mut metadata);
    *request.headers_mut() = metadata.into_headers();
    call.correlation_id
}

#[cfg(test)]
mod tests {
    use tonic_health::pb::FILE_DESCRIPTOR_SET;

    use super::*;

    #[test]
    fn only_described_methods_are_traced() {
        let spans = ServerSpans::of(&["grpc.health.v1.Health"], FILE_DESCRIPTOR_SET).unwrap();
        assert!(spans.methods.contains("grpc.health.v1.Health/Check"), "{spans:?}");
        let others = ServerSpans::of(&["grpc.health.v1"], FILE_DESCRIPTOR_SET).unwrap();
        assert!(others.methods.is_empty(), "{others:?}");
    }
}
