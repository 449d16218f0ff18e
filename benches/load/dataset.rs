//! Fills a database through the collectors' own store, so that everything is there that storing maintains.

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
use weir_journal::Frame;
use weir_testkit::events::Writer;

use crate::{
    frames::{self, BATCH_EVENTS, BATCH_FRAMES},
    report::{grouped, progress},
    usage::Processors,
};

/// As many as the collectors of both sources have.
const WRITERS: usize = 2;

/// What is loaded: events that are spread evenly over a time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) writer: Writer,
    pub(crate) events: u64,
    pub(crate) from: DateTime<Utc>,
    pub(crate) span: TimeDelta,
}

impl Load {
    fn at(&self, number: u64) -> DateTime<Utc> {
        let share = number as f64 / self.events as f64;
        // Microseconds of a year have sixteen digits, as many as a float tells.
        self.from + TimeDelta::microseconds((share * self.span.num_microseconds().unwrap_or(0) as f64) as i64)
    }
}

/// An empty store with its tables.
///
/// # Errors
/// It can't be opened or migrated.
pub(crate) async fn migrated(url: &DatabaseUrl) -> anyhow::Result<DatabaseConnection> {
    let database = connect(url, Access::Write, Duration::ZERO).await?;
    weir_database::up(&database, None).await?;
    Ok(database)
}

/// Stores all of it in the order of time, in transactions as workers make them.
///
/// # Errors
/// The database refuses it.
pub(crate) async fn load(database: &DatabaseConnection, load: Load) -> anyhow::Result<()> {
    let started = Instant::now();
    // A batch for each writer, and one that is being made.
    let (send, receive) = mpsc::channel(WRITERS);
    let making = tokio::task::spawn_blocking(move || make(load, &send));
    let receive = Arc::new(Mutex::new(receive));
    let mut writers = JoinSet::new();
    for _ in 0..WRITERS {
        writers.spawn(store(Store::new(database), Arc::clone(&receive)));
    }
    drop(receive);
    while let Some(writer) = writers.join_next().await {
        writer??;
    }
    making.await??;
    let took = started.elapsed().as_secs_f64();
    progress(format!("loaded {} events in {took:.0} s", grouped(load.events as f64)));
    Ok(())
}

fn make(load: Load, send: &mpsc::Sender<Vec<Frame>>) -> anyhow::Result<()> {
    // A full batch of each source.
    let stride = 2 * BATCH_EVENTS;
    for first in (0..load.events).step_by(stride) {
        let numbers = first..load.events.min(first + stride as u64);
        let mut frames = frames::make(load.writer, numbers, |number| load.at(number))?;
        let rest = frames.split_off(frames.len() / 2);
        for batch in [frames, rest] {
            if send.blocking_send(batch).is_err() {
                // The writers have failed, and tell why.
                return Ok(());
            }
        }
    }
    Ok(())
}

async fn store(store: Store, batches: Arc<Mutex<mpsc::Receiver<Vec<Frame>>>>) -> anyhow::Result<()> {
    loop {
        let batch = batches.lock().await.recv().await;
        let Some(batch) = batch else { return Ok(()) };
        debug_assert!(batch.len() <= BATCH_FRAMES);
        let submissions: Vec<Submission<'_>> = batch.iter().map(Submission::whole).collect();
        store.store(&submissions).await?;
    }
}

/// Waits until nothing is busy any more, whatever goes on behind the rows, and brings the planner's statistics and the
/// visibility map up to date, as autovacuum would some minutes later.
///
/// # Errors
/// The database is gone.
pub(crate) async fn settle(database: &DatabaseConnection) -> anyhow::Result<()> {
    const PATIENCE: Duration = Duration::from_secs(1800);
    const LOOK: Duration = Duration::from_secs(2);
    /// Processors; probes and timers take less.
    const IDLE: f64 = 0.1;
    database.execute_unprepared("VACUUM (ANALYZE)").await.context("VACUUM fails")?;
    database.execute_unprepared("CHECKPOINT").await.context("CHECKPOINT fails")?;
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        let before = Processors::now();
        sleep(LOOK).await;
        if before.since().ours() < IDLE {
            return Ok(());
        }
    }
    progress(format!("something is still busy after {PATIENCE:?}"));
    Ok(())
}
