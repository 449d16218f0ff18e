//! Frames of the reference events.

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;
use weir_event::{Event, Origin, admit_json};
use weir_journal::{Frame, FramedEvent};
use weir_process::CorrelationId;

/// Passes the gate.
pub fn admit(event: &Value) -> Event {
    admit_json(&event.to_string(), Utc::now()).unwrap()
}

/// A frame of events of one source that came in with one call.
pub fn frame(events: &[Value]) -> Frame {
    let events: Vec<FramedEvent> =
        events.iter().map(|event| FramedEvent { event: admit(event), origin: 0, repeats: 0 }).collect();
    Frame {
        id: Uuid::now_v7().to_string(),
        source: events[0].event.source(),
        origins: vec![origin()],
        events,
    }
}

pub fn origin() -> Origin {
    Origin {
        correlation_id: CorrelationId::generate(),
        traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into(),
        tracestate: String::new(),
        arrived_at: DateTime::from_timestamp_micros(1_757_834_505_318_001).unwrap(),
    }
}
