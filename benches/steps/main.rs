//! The inner steps of an event's way, each alone: `cargo bench --bench steps`, which takes less than a minute.
//!
//! A batch of 512 events, a full frame, goes through each step; the unit is events a second.

mod collection;
mod intake;

use std::time::Duration;

use chrono::{DateTime, Utc};
use criterion::{Criterion, criterion_group, criterion_main};
use weir_event::{Event, Source, admit_json};
use weir_testkit::events::{Crowd, Writer, Written};

/// A full frame.
const EVENTS: u64 = 512;

/// As many events of one source as a frame has, as their senders write them.
fn written(source: Source) -> Vec<Written> {
    let (writer, now) = (Writer { run: 0, crowd: Crowd::EachNew }, Utc::now());
    // The sources alternate.
    let both = (0..2 * EVENTS).map(|number| writer.write(number, now));
    both.filter(|written| written.source == source).collect()
}

/// The same behind the gate.
fn admitted(source: Source, arrived_at: DateTime<Utc>) -> Vec<Event> {
    let admit = |written: &Written| admit_json(&written.json, arrived_at).expect("what is written is valid");
    written(source).iter().map(admit).collect()
}

/// Enough to tell a tenth, within a minute for all of the steps.
fn quickly() -> Criterion {
    Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .without_plots()
}

criterion_group! {
    name = steps;
    config = quickly();
    targets = intake::decode, intake::validate, intake::frame, collection::restore, collection::project
}
criterion_main!(steps);
