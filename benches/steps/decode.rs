//! A webhook's JSON item → candidate → event: what the edge does with every item.

use chrono::Utc;
use criterion::{Criterion, Throughput};
use weir_event::{Source, admit_json};

use crate::{EVENTS, written};

pub(super) fn measure(criterion: &mut Criterion) {
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
