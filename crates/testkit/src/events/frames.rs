//! Events behind the gate, and frames of them.

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;
use weir_event::{Event, Origin, Source, admit_json};
use weir_journal::{Frame, FramedEvent, MAX_FRAME_EVENTS};
use weir_process::{CallContext, CorrelationId, TraceContext};

use super::generator::Generator;

/// Passes an event through the gate as of now; fails if the gate refuses it.
pub fn admit(event: &Value) -> Event {
    admit_json(&event.to_string(), Utc::now()).unwrap()
}

/// A frame of events of one source that came in with one call, from [`origin`].
pub fn frame(events: &[Value]) -> Frame {
    frame_of(events.iter().map(admit).collect(), origin())
}

/// A frame of events of one source that came in with the call of `origin`.
fn frame_of(events: Vec<Event>, origin: Origin) -> Frame {
    let source = events[0].source();
    let framed = |event| FramedEvent { event, origin: 0, repeats: 0 };
    Frame {
        id: Uuid::now_v7().to_string(),
        source,
        origins: vec![origin],
        events: events.into_iter().map(framed).collect(),
    }
}

impl Generator {
    /// The events of these numbers in full frames, Facebook's before TikTok's. `at` returns the timestamp of a number.
    pub fn frames(
        &self,
        numbers: impl IntoIterator<Item = u64>,
        at: impl Fn(u64) -> DateTime<Utc>,
    ) -> Vec<Frame> {
        let now = Utc::now();
        let events = numbers.into_iter().map(|number| self.event(number, at(number)).admit(now));
        let (facebook, tiktok): (Vec<_>, Vec<_>) =
            events.partition(|event| event.source() == Source::Facebook);
        [facebook, tiktok].into_iter().flat_map(|events| full_frames(events, now)).collect()
    }
}

/// Splits events of one source into frames, each from a call of its own.
fn full_frames(mut events: Vec<Event>, arrived_at: DateTime<Utc>) -> Vec<Frame> {
    let mut frames = Vec::new();
    while !events.is_empty() {
        let rest = events.split_off(events.len().min(MAX_FRAME_EVENTS));
        frames.push(frame_of(events, untraced_origin(arrived_at)));
        events = rest;
    }
    frames
}

/// The origin of a traced call that arrived at a fixed moment.
pub fn origin() -> Origin {
    Origin {
        correlation_id: CorrelationId::generate(),
        traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into(),
        tracestate: String::new(),
        arrived_at: DateTime::from_timestamp_micros(1_757_834_505_318_001).unwrap(),
    }
}

/// The origin of a call without a trace.
pub fn untraced_origin(arrived_at: DateTime<Utc>) -> Origin {
    let call = CallContext { correlation_id: CorrelationId::generate(), trace: TraceContext::default() };
    Origin::of_call(call, arrived_at)
}
