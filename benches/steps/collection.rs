//! The steps behind the journal: restore and project.

use std::time::Duration;

use chrono::Utc;
use criterion::{BatchSize, Criterion, Throughput};
use tokio::runtime::Runtime;
use weir_collectors::store::{Store, Submission};
use weir_database::{Access, DatabaseUrl, connect, up};
use weir_event::Source;
use weir_journal::{Frame, Journal, Settings};
use weir_testkit::events::{Generator, untraced_origin};

use crate::{EVENTS, admitted, intake::seal};

/// The timeout of a delivery and of the journal's close, which neither ever needs.
const WAIT: Duration = Duration::from_secs(10);

/// Restore: message of the journal → frame, as a collector does first.
///
/// Only a delivery decodes. So an embedded journal with one frame delivers it, and the bench decodes it and hands it
/// back at once. The delivery itself is a few microseconds of bookkeeping in memory and one read of the file.
pub(super) fn restore(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime can be made");
    let mut group = criterion.benchmark_group("restore");
    group.throughput(Throughput::Elements(EVENTS));
    for &source in Source::ALL {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let journal = runtime.block_on(async {
            let journal = Journal::open(folder.path(), Settings::default()).await.expect("an empty folder");
            let now = Utc::now();
            let frames = seal(admitted(source, now), &untraced_origin(now));
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

/// Project: frame → rows and rollups, as a collector stores them.
///
/// Rows and rollups exist only in the store. So this measures [`Store::store`] into a SQLite file: the projection, and
/// a transaction with its sync.
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

/// A full frame of Facebook's events, which no other run has.
fn full_frame(run: u64) -> Frame {
    let now = Utc::now();
    // Even numbers are Facebook's.
    let mut frames = Generator::all_new(run).frames((0..EVENTS).map(|number| 2 * number), |_| now);
    frames.remove(0)
}
