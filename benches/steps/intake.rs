//! The steps in front of the journal: decode, validate and frame.

use chrono::Utc;
use criterion::{BatchSize, Criterion, Throughput};
use weir::contract::event::v1;
use weir_event::{Event, Origin, Source, admit_json, admit_message};
use weir_journal::{Framer, SealedFrame};
use weir_testkit::events::untraced_origin;

use crate::{EVENTS, admitted, generated};

/// Decode: JSON item → candidate → event, as the edge does with every item.
pub(super) fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    group.throughput(Throughput::Elements(EVENTS));
    for &source in Source::ALL {
        let (generated, now) = (generated(source), Utc::now());
        group.bench_function(source.name(), |bencher| {
            bencher.iter(|| {
                generated.iter().filter(|generated| admit_json(&generated.json, now).is_ok()).count()
            });
        });
    }
    group.finish();
}

/// Validate: typed message → event, as ingest does with every item.
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

/// Seals these events in one frame.
pub(crate) fn seal(events: Vec<Event>, origin: &Origin) -> Vec<SealedFrame> {
    // An id as the edge gives to its calls.
    let mut framer = Framer::new(Some("01a203fe-f893-71f5-9146-3e53170ddf88".to_owned()));
    events.into_iter().for_each(|event| framer.push(event, origin, 0));
    framer.finish()
}

/// Frame: events → sealed frame, as ingest does before it appends.
pub(super) fn frame(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("frame");
    group.throughput(Throughput::Elements(EVENTS));
    for &source in Source::ALL {
        let now = Utc::now();
        let (events, origin) = (admitted(source, now), untraced_origin(now));
        group.bench_function(source.name(), |bencher| {
            bencher.iter_batched(|| events.clone(), |events| seal(events, &origin), BatchSize::LargeInput);
        });
    }
    group.finish();
}
