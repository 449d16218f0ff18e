//! The origin of an item: the call that brought it in.

use chrono::{DateTime, Utc};
use weir::contract::{event::v1, instant_micros, timestamp};
use weir_process::{CallContext, CorrelationId, TraceContext};

/// One webhook call or one gRPC call: its correlation id, its trace and its time of arrival.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    pub correlation_id: CorrelationId,
    /// W3C Trace Context; empty if the caller sent none.
    pub traceparent: String,
    pub tracestate: String,
    /// The gate measures the timestamps of the call's events against it.
    pub arrived_at: DateTime<Utc>,
}

impl Origin {
    /// The origin of a call that arrives now.
    #[must_use]
    pub fn of_call(call: CallContext, now: DateTime<Utc>) -> Self {
        let TraceContext { traceparent, tracestate } = call.trace;
        Self { correlation_id: call.correlation_id, traceparent, tracestate, arrived_at: now }
    }

    /// The origin in a client's message. Fields that are missing or invalid come from `self`, the origin of the
    /// client's call. The arrival is never later than that of `self`: the gate measures timestamps against it, so a
    /// client must not move it into the future.
    #[must_use]
    pub fn overridden_by(&self, message: v1::Origin) -> Self {
        let trace = TraceContext::parse(Some(&message.traceparent), Some(&message.tracestate));
        let arrived_at =
            instant_micros(message.arrived_at).map_or(self.arrived_at, |at| at.min(self.arrived_at));
        Self {
            correlation_id: CorrelationId::parse(&message.correlation_id)
                .unwrap_or_else(|| self.correlation_id.clone()),
            traceparent: trace.traceparent,
            tracestate: trace.tracestate,
            arrived_at,
        }
    }

    /// Restores an origin from the journal; `None` for a message that no build of this version wrote.
    #[must_use]
    pub fn restore(message: v1::Origin) -> Option<Self> {
        Some(Self {
            correlation_id: CorrelationId::parse(&message.correlation_id)?,
            traceparent: message.traceparent,
            tracestate: message.tracestate,
            arrived_at: instant_micros(message.arrived_at)?,
        })
    }

    /// The trace context of the call.
    #[must_use]
    pub fn trace(&self) -> TraceContext {
        TraceContext { traceparent: self.traceparent.clone(), tracestate: self.tracestate.clone() }
    }

    /// The same origin with another trace context: the stored event then points to a later span of its trace.
    #[must_use]
    pub fn with_trace(&self, trace: TraceContext) -> Self {
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
    fn an_event_can_t_arrive_later_than_its_call() {
        let now = Utc::now();
        let call = CallContext { correlation_id: CorrelationId::generate(), trace: TraceContext::default() };
        let origin = Origin::of_call(call, now);
        let arrival = |arrived_at| {
            origin
                .overridden_by(v1::Origin {
                    arrived_at: Some(timestamp(arrived_at)),
                    ..v1::Origin::default()
                })
                .arrived_at
        };
        assert_eq!(arrival(now + TimeDelta::hours(1)), now);
        assert!(arrival(now - TimeDelta::hours(1)) < now);
        assert_eq!(origin.overridden_by(v1::Origin::default()).correlation_id, origin.correlation_id);
    }
}
