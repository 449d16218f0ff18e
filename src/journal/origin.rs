//! An origin in the journal's messages.

use chrono::{DateTime, Utc};
use prost_types::Timestamp;

use crate::{contract::event::v1, event::Origin, process::CorrelationId};

pub(super) fn to_message(origin: &Origin) -> v1::Origin {
    v1::Origin {
        correlation_id: origin.correlation_id.to_string(),
        traceparent: origin.traceparent.clone(),
        tracestate: origin.tracestate.clone(),
        arrived_at: Some(to_timestamp(origin.arrived_at)),
    }
}

/// `None` for a message that no build of this version wrote.
pub(super) fn from_message(message: v1::Origin) -> Option<Origin> {
    Some(Origin {
        correlation_id: CorrelationId::parse(&message.correlation_id)?,
        traceparent: message.traceparent,
        tracestate: message.tracestate,
        arrived_at: from_timestamp(message.arrived_at?)?,
    })
}

fn to_timestamp(instant: DateTime<Utc>) -> Timestamp {
    Timestamp {
        seconds: instant.timestamp(),
        // A leap second counts on beyond 999,999,999, which the message has no room for.
        nanos: i32::try_from(instant.timestamp_subsec_nanos().min(999_999_999)).unwrap_or_default(),
    }
}

fn from_timestamp(timestamp: Timestamp) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(timestamp.seconds, u32::try_from(timestamp.nanos).ok()?)
}
