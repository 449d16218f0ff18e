//! Where an item came in.

use chrono::{DateTime, Utc};
use weir::contract::event::v1;
use weir_process::{CallContext, CorrelationId, TraceContext};

use super::message::{instant, timestamp};

/// One webhook call or one gRPC call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    pub correlation_id: CorrelationId,
    /// W3C Trace Context; empty where the caller sent none.
    pub traceparent: String,
    pub tracestate: String,
    pub arrived_at: DateTime<Utc>,
}

impl Origin {
    /// The origin of a call that arrives now.
    #[must_use]
    pub fn of_call(call: CallContext, now: DateTime<Utc>) -> Self {
        let TraceContext { traceparent, tracestate } = call.trace;
        Self { correlation_id: call.correlation_id, traceparent, tracestate, arrived_at: now }
    }

    /// The origin that a message names, completed from `self` where it names nothing valid. Nothing arrived later
    /// than now, whatever a client says: the gate measures timestamps against it.
    #[must_use]
    pub fn named(&self, message: v1::Origin) -> Self {
        let trace = TraceContext::parse(Some(&message.traceparent), Some(&message.tracestate));
        let arrived_at = instant(message.arrived_at).map_or(self.arrived_at, |at| at.min(self.arrived_at));
        Self {
            correlation_id: CorrelationId::parse(&message.correlation_id)
                .unwrap_or_else(|| self.correlation_id.clone()),
            traceparent: trace.traceparent,
            tracestate: trace.tracestate,
            arrived_at,
        }
    }

    /// Takes back what the journal carried; `None` for a message that no build of this version wrote.
    #[must_use]
    pub fn restore(message: v1::Origin) -> Option<Self> {
        Some(Self {
            correlation_id: CorrelationId::parse(&message.correlation_id)?,
            traceparent: message.traceparent,
            tracestate: message.tracestate,
            arrived_at: instant(message.arrived_at)?,
        })
    }

    /// The trace that it is part of.
    #[must_use]
    pub fn trace(&self) -> TraceContext {
        TraceContext { traceparent: self.traceparent.clone(), tracestate: self.tracestate.clone() }
    }

    /// The same origin in another place of its trace.
    #[must_use]
    pub fn traced(&self, trace: TraceContext) -> Self {
        let TraceContext { traceparent, tracestate } = trace;
        Self { traceparent, tracestate, ..self.clone() }
    }
}

impl From<Origin> for v1::Origin {
    fn from(origin: Origin) -> Self {
        Self {
            correlation_id: origin.correlation_id.to_string(),
            traceparent: origin.traceparent,
            tracestate: origin.tracestate,
            arrived_at: Some(timestamp(origin.arrived_at)),
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn a_client_can_t_make_an_event_arrive_in_the_future() {
        let now = Utc::now();
        let call = CallContext { correlation_id: CorrelationId::generate(), trace: TraceContext::default() };
        let origin = Origin::of_call(call, now);
        let named = |arrived_at| {
            origin
                .named(v1::Origin { arrived_at: Some(timestamp(arrived_at)), ..v1::Origin::default() })
                .arrived_at
        };
        assert_eq!(named(now + TimeDelta::hours(1)), now);
        assert!(named(now - TimeDelta::hours(1)) < now);
        assert_eq!(origin.named(v1::Origin::default()).correlation_id, origin.correlation_id);
    }
}
