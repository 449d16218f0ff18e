//! The inner steps of an event's path, each alone: `cargo bench --bench steps`, which takes less than a minute.
//!
//! A batch of 512 events, a full frame, goes through each step; the unit is events a second.

mod collection;
mod intake;

use std::time::Duration;

use chrono::{DateTime, Utc};
use criterion::{Criterion, criterion_group, criterion_main};
use weir_event::{Event, Source};
use weir_testkit::events::{GeneratedEvent, Generator};

/// The events of a full frame.
const EVENTS: u64 = 512;

/// The events of a full frame of one source, as senders post them.
fn generated(source: Source) -> Vec<GeneratedEvent> {
    let (generator, now) = (Generator::all_new(0), Utc::now());
    // The sources alternate.
    let both = (0..2 * EVENTS).map(|number| generator.event(number, now));
    both.filter(|generated| generated.source == source).collect()
}

/// The same events behind the gate.
fn admitted(source: Source, arrived_at: DateTime<Utc>) -> Vec<Event> {
    generated(source).iter().map(|generated| generated.admit(arrived_at)).collect()
}

/// Samples enough to see a difference of a tenth, within a minute for all steps.
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
