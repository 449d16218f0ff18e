//! Events → a sealed frame: what ingest does before it appends.

use chrono::Utc;
use criterion::{BatchSize, Criterion, Throughput};
use weir_event::{Event, Origin, Source};
use weir_journal::{Framer, SealedFrame};
use weir_process::{CallContext, CorrelationId, TraceContext};

use crate::{EVENTS, admitted};

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

pub(super) fn measure(criterion: &mut Criterion) {
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
