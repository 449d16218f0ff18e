//! The steps in front of the journal: decode, validate and frame.

use chrono::Utc;
use criterion::{BatchSize, Criterion, Throughput};
use weir::contract::event::v1;
use weir_event::{Event, Origin, Source, admit_json, admit_message};
use weir_journal::{Framer, SealedFrame};
use weir_process::{CallContext, CorrelationId, TraceContext};

use crate::{EVENTS, admitted, written};

/// A webhook's JSON item → candidate → event: what the edge does with every item.
pub(super) fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    group.throughput(Throughput::Elements(EVENTS));
    for &source in Source::ALL {
        let (written, now) = (written(source), Utc::now());
        group.bench_function(source.name(), |bencher| {
            bencher.iter(|| written.iter().filter(|written| admit_json(&written.json, now).is_ok()).count());
        });
    }
    group.finish();
}

/// The gate on a typed message: what ingest does with every item.
pub(super) fn validate(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("validate");
    group.throughput(Throughput::Elements(EVENTS));
    for &source in Source::ALL {
        let now = Utc::now();
        let messages: Vec<v1::Event> = admitted(source, now).into_iter().map(v1::Event::from).collect();
        group.bench_function(source.name(), |bencher| {
            bencher.iter(|| messages.iter().filter(|message| admit_message(message, now).is_ok()).count());
        });
    }
    group.finish();
}

/// What one call brought in.
pub(crate) fn origin() -> Origin {
    let call = CallContext { correlation_id: CorrelationId::generate(), trace: TraceContext::default() };
    Origin::of_call(call, Utc::now())
}

/// One frame, which takes all of them.
pub(crate) fn seal(events: Vec<Event>, origin: &Origin) -> Vec<SealedFrame> {
    // As the edge names its calls.
    let mut framer = Framer::new(Some("01a203fe-f893-71f5-9146-3e53170ddf88".to_owned()));
    events.into_iter().for_each(|event| framer.push(event, origin, 0));
    framer.finish()
}

/// Events → a sealed frame: what ingest does before it appends.
pub(super) fn frame(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("frame");
    group.throughput(Throughput::Elements(EVENTS));
    for &source in Source::ALL {
        let (events, origin) = (admitted(source, Utc::now()), origin());
        group.bench_function(source.name(), |bencher| {
            bencher.iter_batched(|| events.clone(), |events| seal(events, &origin), BatchSize::LargeInput);
        });
    }
    group.finish();
}
