//! A message of the journal → frame: what a collector does first.
//!
//! Only a delivery decodes, so this is a delivery from an embedded journal that holds one frame: offered, decoded, and
//! given back at once. The offer itself is a few microseconds of bookkeeping in memory and one read of the file.

use std::time::Duration;

use chrono::Utc;
use criterion::{Criterion, Throughput};
use tokio::runtime::Runtime;
use weir_event::Source;
use weir_journal::{Journal, Settings};

use super::frame::{origin, seal};
use crate::{EVENTS, admitted};

/// Longer than it ever takes.
const WAIT: Duration = Duration::from_secs(10);

pub(super) fn measure(criterion: &mut Criterion) {
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
