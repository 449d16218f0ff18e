//! Events that fill a database before a measurement, through the store of the collectors, so that rollups and all other
//! tables are filled too.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{ConnectionTrait as _, DatabaseConnection};
use tokio::{
    sync::{Mutex, mpsc},
    task::JoinSet,
    time::{Instant, sleep},
};
use weir_collectors::store::{Store, Submission};
use weir_database::{Access, DatabaseUrl, connect};
use weir_journal::{Frame, MAX_FRAME_EVENTS};
use weir_testkit::events::Generator;

use crate::{
    report::{grouped, progress},
    usage::CpuTimes,
};

/// Events of one transaction of a worker.
pub(crate) const BATCH_EVENTS: usize = 4_096;
/// Frames of one transaction of a worker: of one source, as its consumer's are.
pub(crate) const BATCH_FRAMES: usize = BATCH_EVENTS / MAX_FRAME_EVENTS;
/// Writers at the same time, as many as the collectors of both sources have.
const WRITERS: usize = 2;

/// Events that are spread evenly over a span of time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dataset {
    pub(crate) generator: Generator,
    pub(crate) events: u64,
    pub(crate) from: DateTime<Utc>,
    pub(crate) span: TimeDelta,
}

impl Dataset {
    fn at(&self, number: u64) -> DateTime<Utc> {
        let share = number as f64 / self.events as f64;
        // The microseconds of a year have sixteen digits, as many as a float holds.
        self.from + TimeDelta::microseconds((share * self.span.num_microseconds().unwrap_or(0) as f64) as i64)
    }
}

/// Opens a database and applies every migration.
///
/// # Errors
/// It can't be opened or migrated.
pub(crate) async fn migrated(url: &DatabaseUrl) -> anyhow::Result<DatabaseConnection> {
    let database = connect(url, Access::Write, Duration::ZERO).await?;
    weir_database::up(&database, None).await?;
    Ok(database)
}

/// Stores all events in the order of time, in transactions of the size that workers use.
///
/// # Errors
/// The database refuses a transaction.
pub(crate) async fn store(database: &DatabaseConnection, dataset: Dataset) -> anyhow::Result<()> {
    let started = Instant::now();
    // A batch for each writer, and one that is being made.
    let (send, receive) = mpsc::channel(WRITERS);
    let making = tokio::task::spawn_blocking(move || make(dataset, &send));
    let receive = Arc::new(Mutex::new(receive));
    let mut writers = JoinSet::new();
    for _ in 0..WRITERS {
        writers.spawn(store_batches(Store::new(database), Arc::clone(&receive)));
    }
    drop(receive);
    while let Some(writer) = writers.join_next().await {
        writer??;
    }
    making.await?;
    let took = started.elapsed().as_secs_f64();
    progress(format!("loaded {} events in {took:.0} s", grouped(dataset.events as f64)));
    Ok(())
}

fn make(dataset: Dataset, send: &mpsc::Sender<Vec<Frame>>) {
    // A full batch of each source.
    let stride = 2 * BATCH_EVENTS;
    for first in (0..dataset.events).step_by(stride) {
        let numbers = first..dataset.events.min(first + stride as u64);
        let mut frames = dataset.generator.frames(numbers, |number| dataset.at(number));
        let rest = frames.split_off(frames.len() / 2);
        for batch in [frames, rest] {
            if send.blocking_send(batch).is_err() {
                // The writers have failed, and return the error.
                return;
            }
        }
    }
}

async fn store_batches(store: Store, batches: Arc<Mutex<mpsc::Receiver<Vec<Frame>>>>) -> anyhow::Result<()> {
    loop {
        let batch = batches.lock().await.recv().await;
        let Some(batch) = batch else { return Ok(()) };
        debug_assert!(batch.len() <= BATCH_FRAMES);
        let submissions: Vec<Submission<'_>> = batch.iter().map(Submission::whole).collect();
        store.store(&submissions).await?;
    }
}

/// Brings the planner's statistics and the visibility map up to date, as autovacuum would some minutes later, and waits
/// until all background work has ended.
///
/// # Errors
/// The database is gone.
pub(crate) async fn settle(database: &DatabaseConnection) -> anyhow::Result<()> {
    const TIMEOUT: Duration = Duration::from_secs(1800);
    const LOOK: Duration = Duration::from_secs(2);
    /// The number of busy processors below which nothing works; probes and timers take less.
    const IDLE: f64 = 0.1;
    database.execute_unprepared("VACUUM (ANALYZE)").await.context("VACUUM fails")?;
    database.execute_unprepared("CHECKPOINT").await.context("CHECKPOINT fails")?;
    let deadline = Instant::now() + TIMEOUT;
    while Instant::now() < deadline {
        let before = CpuTimes::now();
        sleep(LOOK).await;
        if before.since().ours() < IDLE {
            return Ok(());
        }
    }
    progress(format!("background work still runs after {TIMEOUT:?}"));
    Ok(())
}
