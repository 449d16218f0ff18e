//! The status of a call: its name in gRPC, and its record on a span.

use tonic::Code;
use tracing::Span;

use crate::trace;

/// Such as `DEADLINE_EXCEEDED`.
fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

/// Records the end of a call on the span of its server.
pub(super) fn record_on_server(span: &Span, status: Code) {
    let name = name(status);
    span.record("rpc.response.status_code", name);
    // A fault of the caller is not an error of the server.
    if matches!(
        status,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    ) {
        span.record("error.type", name);
        trace::fail(span, "");
    }
}

/// Records the end of a call on the span of its client, where every status but OK is an error.
pub(super) fn record_on_client(span: &Span, status: Code) {
    let name = name(status);
    span.record("rpc.response.status_code", name);
    if status != Code::Ok {
        span.record("error.type", name);
        trace::fail(span, "");
    }
}
