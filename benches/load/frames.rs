//! Frames as collectors take them from the journal.

use std::ops::Range;

use anyhow::anyhow;
use chrono::{DateTime, Utc};
use uuid::Uuid;
use weir_event::{Origin, Source, admit_json};
use weir_journal::{Frame, FramedEvent, MAX_FRAME_EVENTS};
use weir_process::{CallContext, CorrelationId, TraceContext};
use weir_testkit::events::Writer;

/// Events of one transaction of a worker.
pub(crate) const BATCH_EVENTS: usize = 8_192;
/// Frames of one transaction of a worker: of one source, as its consumer's are.
pub(crate) const BATCH_FRAMES: usize = BATCH_EVENTS / MAX_FRAME_EVENTS;

/// The events of these numbers in full frames, Facebook's before TikTok's; `at` tells when one happened.
///
/// # Errors
/// The gate refuses an event.
pub(crate) fn make(
    writer: Writer,
    numbers: Range<u64>,
    at: impl Fn(u64) -> DateTime<Utc>,
) -> anyhow::Result<Vec<Frame>> {
    let now = Utc::now();
    let [mut facebook, mut tiktok] = [Vec::new(), Vec::new()];
    for number in numbers {
        let written = writer.write(number, at(number));
        let event = admit_json(&written.json, now);
        let event = event.map_err(|refusal| anyhow!("{} is refused: {refusal:?}", written.json))?;
        let framed = FramedEvent { event, origin: 0, repeats: 0 };
        match written.source {
            Source::Facebook => facebook.push(framed),
            Source::Tiktok => tiktok.push(framed),
        }
    }
    let mut frames = Vec::new();
    for (source, mut events) in [(Source::Facebook, facebook), (Source::Tiktok, tiktok)] {
        while !events.is_empty() {
            let rest = events.split_off(events.len().min(MAX_FRAME_EVENTS));
            let origins = vec![origin(now)];
            frames.push(Frame { id: Uuid::now_v7().to_string(), source, origins, events });
            events = rest;
        }
    }
    Ok(frames)
}

fn origin(arrived_at: DateTime<Utc>) -> Origin {
    let call = CallContext { correlation_id: CorrelationId::generate(), trace: TraceContext::default() };
    Origin::of_call(call, arrived_at)
}
