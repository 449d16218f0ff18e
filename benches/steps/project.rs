//! A frame → rows and rollups: what a collector stores.
//!
//! Rows and rollups show in the store alone, so this is [`Store::store`] into a file of SQLite: the projection, and a
//! transaction with its sync.

use std::time::Duration;

use chrono::Utc;
use criterion::{BatchSize, Criterion, Throughput};
use tokio::runtime::Runtime;
use uuid::Uuid;
use weir_collectors::store::{Store, Submission};
use weir_database::{Access, DatabaseUrl, connect, up};
use weir_event::{Source, admit_json};
use weir_journal::{Frame, FramedEvent};
use weir_testkit::generator::{Crowd, Writer};

use super::frame::origin;
use crate::EVENTS;

pub(super) fn measure(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime can be made");
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let url = DatabaseUrl::file(&folder.path().join("store.sqlite"));
    let store = runtime.block_on(async {
        let database = connect(&url, Access::Write, Duration::ZERO).await.expect("an empty folder");
        up(&database, None).await.expect("an empty file can be migrated");
        Store::new(&database)
    });
    let mut group = criterion.benchmark_group("project");
    group.throughput(Throughput::Elements(EVENTS)).sample_size(10);
    let mut run = 0;
    group.bench_function("into SQLite", |bencher| {
        bencher.iter_batched(
            || {
                run += 1;
                frame(run)
            },
            |frame| {
                let stored = runtime.block_on(store.store(&[Submission::whole(&frame)]));
                assert_eq!(stored.expect("every event is new")[0].stored, EVENTS);
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

/// A full frame of events that are in no other.
fn frame(run: u64) -> Frame {
    let (writer, now) = (Writer { run, crowd: Crowd::EachNew }, Utc::now());
    let admit = |number| {
        // Even numbers are of Facebook.
        let event = admit_json(&writer.write(2 * number, now).json, now).expect("what is written is valid");
        FramedEvent { event, origin: 0, repeats: 0 }
    };
    Frame {
        id: Uuid::now_v7().to_string(),
        source: Source::Facebook,
        origins: vec![origin()],
        events: (0..EVENTS).map(admit).collect(),
    }
}
