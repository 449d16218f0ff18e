//! Where an item came in.

use chrono::{DateTime, Utc};

use crate::process::CorrelationId;

/// One webhook call or one gRPC call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    pub correlation_id: CorrelationId,
    /// W3C Trace Context; empty where the caller sent none.
    pub traceparent: String,
    pub tracestate: String,
    pub arrived_at: DateTime<Utc>,
}
