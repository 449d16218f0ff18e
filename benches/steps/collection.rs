//! The steps behind the journal: restore and project.

use std::time::Duration;

use chrono::Utc;
use criterion::{BatchSize, Criterion, Throughput};
use tokio::runtime::Runtime;
use uuid::Uuid;
use weir_collectors::store::{Store, Submission};
use weir_database::{Access, DatabaseUrl, connect, up};
use weir_event::{Source, admit_json};
use weir_journal::{Frame, FramedEvent, Journal, Settings};
use weir_testkit::events::{Crowd, Writer};

use crate::{
    EVENTS, admitted,
    intake::{origin, seal},
};

/// Longer than it ever takes.
const WAIT: Duration = Duration::from_secs(10);

/// A message of the journal → frame: what a collector does first.  Only a delivery decodes, so this is a delivery from an embedded journal that holds one frame: offered, decoded, and given back at once. The offer itself is a few microseconds of bookkeeping in memory and one read of the file.
pub(super) fn restore(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime can be made");
    let mut group = criterion.benchmark_group("restore");
    group.throughput(Throughput::Elements(EVENTS));
    for &source in Source::ALL {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let journal = runtime.block_on(async {
            let journal = Journal::open(folder.path(), Settings::default()).await.expect("an empty folder");
            let frames = seal(admitted(source, Utc::now()), &origin());
            journal.append(&frames).await.expect("an empty journal takes a frame");
            journal
        });
        let mut consumer = runtime.block_on(journal.consumer(source)).expect("an embedded journal is there");
        group.bench_function(source.name(), |bencher| {
            bencher.iter(|| {
                runtime.block_on(async {
                    let deliveries = consumer.next(1, WAIT).await.expect("an embedded journal is there");
                    assert_eq!(deliveries.len(), 1, "the frame is offered");
                    for delivery in deliveries {
                        assert!(delivery.content().is_ok(), "the frame is of this build");
                        delivery.retry_in(Duration::ZERO).await.expect("an embedded journal is there");
                    }
                });
            });
        });
        runtime.block_on(journal.close(WAIT));
    }
    group.finish();
}

/// A frame → rows and rollups: what a collector stores.  Rows and rollups show in the store alone, so this is [`Store::store`] into a file of SQLite: the projection, and a transaction with its sync.
pub(super) fn project(criterion: &mut Criterion) {
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
                full_frame(run)
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
fn full_frame(run: u64) -> Frame {
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
