//! The role: workers for its sources, readiness, and an end that finishes what is in hand.

use anyhow::Context as _;
use sea_orm::DatabaseConnection;
use tokio::task::JoinSet;
use tracing::{Instrument as _, info_span};
use weir_database::{DatabaseUrl, Rights, SchemaWatch};
use weir_event::Source;
use weir_journal::{Journal, SettingsLatch};
use weir_process::{Latch, RoleReadiness, Stop, clock::RoleClock};

use crate::{
    CollectorMetrics, Failpoint, Retention,
    audit::Auditor,
    journals::JournalNotes,
    people::{Backlog, Folder},
    retention::Sweeper,
    silence,
    store::Store,
    worker::{NewerFrames, Worker},
};

/// How a collector works; the wire knows nothing of it.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Batches of one source that are stored at once.
    pub workers: usize,
    /// How long what is stored is kept.
    pub retention: Retention,
    /// Where a test lets the process die.
    pub failpoint: Option<Failpoint>,
}

impl Settings {
    /// `workers` or the number that suits the database.
    #[must_use]
    pub fn new(workers: Option<usize>, store: &DatabaseUrl, retention: Retention) -> Self {
        let suitable = if store.has_one_writer() { 1 } else { 2 };
        Self { workers: workers.unwrap_or(suitable), retention, failpoint: None }
    }
}

/// Stores the frames of its sources, together with every other collector of them, removes what was kept long enough and
/// folds the people that were seen, of any source.
#[derive(Debug)]
pub struct Collector {
    sources: Vec<Source>,
    journal: Journal,
    database: DatabaseConnection,
    metrics: CollectorMetrics,
    settings: Settings,
    newer: NewerFrames,
    backlog: Backlog,
    journal_latch: Latch,
    database_latch: Latch,
    newer_latch: Latch,
    lost_latch: Latch,
    settings_latch: SettingsLatch,
    clock: RoleClock,
}

impl Collector {
    /// `database` is migrated and can be written to.
    #[must_use]
    pub fn new(
        sources: &[Source],
        journal: Journal,
        database: DatabaseConnection,
        metrics: CollectorMetrics,
        readiness: &RoleReadiness,
        settings: Settings,
    ) -> Self {
        let clock = RoleClock::new(metrics.clock.clone(), readiness);
        Self {
            sources: sources.to_vec(),
            journal,
            database,
            metrics,
            settings,
            newer: NewerFrames::default(),
            backlog: Backlog::default(),
            journal_latch: readiness.dependency("journal", true),
            database_latch: readiness.dependency("database", true),
            // What it leaves waits for others, and everything else is stored.
            newer_latch: readiness.dependency("frame_version", false),
            lost_latch: readiness.dependency("frames_lost", false),
            settings_latch: SettingsLatch::new(readiness),
            clock,
        }
    }

    /// Works until `stop`; then the batches in hand are finished and acknowledged. An outage of the journal or the
    /// database is waited out.
    ///
    /// # Errors
    /// The journal can't be used at all, or a worker panicked.
    pub async fn run(self, stop: Stop) -> anyhow::Result<()> {
        let mut workers = JoinSet::new();
        for &source in
            self.sources.iter().flat_map(|source| std::iter::repeat_n(source, self.settings.workers))
        {
            let span = info_span!("worker", source = source.name());
            workers.spawn(self.worker(source).run(stop.clone()).instrument(span));
        }
        let sweeper = self.sweeper();
        let sweeping = stop.clone();
        workers.spawn(async move {
            sweeper.run(sweeping).await;
            Ok(())
        });
        let (auditor, auditing) = (self.auditor(), stop.clone());
        workers.spawn(async move {
            auditor.run(auditing).await;
            Ok(())
        });
        let (folder, folding) = (self.folder(), stop.clone());
        workers.spawn(async move {
            folder.run(folding).await;
            Ok(())
        });
        let (notes, noting) = (self.journal_notes(), stop.clone());
        workers.spawn(async move {
            notes.run(noting).await;
            Ok(())
        });
        let (store, looking) = (Store::new(&self.database), stop.clone());
        workers.spawn(async move {
            silence::end_silent_copies(store, looking).await;
            Ok(())
        });
        self.watch_dependencies(&stop);
        while let Some(ended) = workers.join_next().await {
            ended.context("a worker panicked")??;
        }
        Ok(())
    }

    fn worker(&self, source: Source) -> Worker {
        Worker {
            source,
            journal: self.journal.clone(),
            store: Store::new(&self.database),
            metrics: self.metrics.events.clone(),
            storing: self.metrics.storing.clone(),
            newer: self.newer.clone(),
            backlog: self.backlog.clone(),
            // Well before the journal offers the frames again.
            progress_every: self.journal.ack_wait() / 3,
            failpoint: self.settings.failpoint,
        }
    }

    fn sweeper(&self) -> Sweeper {
        Sweeper {
            retention: self.settings.retention,
            store: Store::new(&self.database),
            journal: self.journal.clone(),
            clock: self.clock.clone(),
            metrics: self.metrics.removal.clone(),
        }
    }

    fn folder(&self) -> Folder {
        Folder {
            store: Store::new(&self.database),
            backlog: self.backlog.clone(),
            metrics: self.metrics.people.clone(),
        }
    }

    fn auditor(&self) -> Auditor {
        Auditor {
            journal: self.journal.clone(),
            store: Store::new(&self.database),
            metrics: self.metrics.audit.clone(),
        }
    }

    fn journal_notes(&self) -> JournalNotes {
        JournalNotes {
            journal: self.journal.clone(),
            store: Store::new(&self.database),
            lost: self.metrics.lost.clone(),
            latch: self.lost_latch.clone(),
        }
    }

    fn watch_dependencies(self, stop: &Stop) {
        self.journal.watch_clock(&self.clock, stop);
        let asked = self.database.clone();
        self.clock.watch_microseconds("database", stop.clone(), move || {
            let asked = asked.clone();
            async move { weir_database::clock::server_time(&asked).await.map_err(|error| error.to_string()) }
        });
        let Self { journal, database, newer, journal_latch, database_latch, newer_latch, .. } = self;
        self.settings_latch.watch(journal.clone(), stop.clone());
        journal_latch.sample(stop.clone(), move || {
            let journal = journal.clone();
            async move { journal.usage().await.map(drop).map_err(|error| error.to_string()) }
        });
        let watch = SchemaWatch::new(&database, Rights::Write);
        database_latch.sample(stop.clone(), move || {
            let watch = watch.clone();
            async move { watch.check().await }
        });
        newer_latch.sample(stop.clone(), move || std::future::ready(newer.check()));
    }
}
