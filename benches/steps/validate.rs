//! The gate on a typed message: what ingest does with every item.

use chrono::Utc;
use criterion::{Criterion, Throughput};
use weir::contract::event::v1;
use weir_event::{Source, admit_message};

use crate::{EVENTS, admitted};

pub(super) fn measure(criterion: &mut Criterion) {
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
