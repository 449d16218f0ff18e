//! The collector role: workers for its sources, the jobs beside them, readiness, and an orderly stop.

use anyhow::Context as _;
use futures::future::BoxFuture;
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
    journal_states::JournalStateCopier,
    people::{Backlog, FoldJob},
    rankings::RankingJob,
    retention::Sweeper,
    segments::SegmentJob,
    stalled_copy,
    store::Store,
    worker::{DeferredFrames, Worker},
};

/// The settings of a collector.
#[derive(Clone, Copy, Debug)]
pub struct CollectorSettings {
    /// The workers of one source: each stores one batch at a time.
    pub workers: usize,
    /// How long stored rows and keys are kept.
    pub retention: Retention,
    /// The moment at which a test has the process abort.
    pub failpoint: Option<Failpoint>,
}

impl CollectorSettings {
    /// `workers`, or by default 1 on SQLite, which has one writer, and 2 on PostgreSQL.
    #[must_use]
    pub fn new(workers: Option<usize>, store: &DatabaseUrl, retention: Retention) -> Self {
        let default = if store.has_one_writer() { 1 } else { 2 };
        Self { workers: workers.unwrap_or(default), retention, failpoint: None }
    }
}

/// A collector. It shares the frames of its sources with every other collector of them. For all sources, it keeps
/// segments of events, removes rows whose retention is over, folds observations of people, ranks campaigns, audits the journal and terminates stalled copies.
#[derive(Debug)]
pub struct Collector {
    sources: Vec<Source>,
    journal: Journal,
    database: DatabaseConnection,
    /// Workers and jobs share its caches.
    store: Store,
    metrics: CollectorMetrics,
    settings: CollectorSettings,
    deferred: DeferredFrames,
    backlog: Backlog,
    journal_latch: Latch,
    database_latch: Latch,
    deferred_latch: Latch,
    lost_latch: Latch,
    settings_latch: SettingsLatch,
    clock: RoleClock,
}

impl Collector {
    /// A collector of `sources`. `database` is migrated and can be written to.
    #[must_use]
    pub fn new(
        sources: &[Source],
        journal: Journal,
        database: DatabaseConnection,
        metrics: CollectorMetrics,
        readiness: &RoleReadiness,
        settings: CollectorSettings,
    ) -> Self {
        let clock = RoleClock::new(metrics.clock.clone(), readiness);
        Self {
            sources: sources.to_vec(),
            journal,
            store: Store::new(&database),
            database,
            metrics,
            settings,
            deferred: DeferredFrames::default(),
            backlog: Backlog::default(),
            journal_latch: readiness.dependency("journal", true),
            database_latch: readiness.dependency("database", true),
            // Not required for readiness: deferred frames wait for another collector, and all others are stored.
            deferred_latch: readiness.dependency("frame_version", false),
            lost_latch: readiness.dependency("frames_lost", false),
            settings_latch: SettingsLatch::new(readiness),
            clock,
        }
    }

    /// Works until `stop`, then finishes and acknowledges the batches in hand. Waits out an outage of the journal or
    /// the database.
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
        let jobs: [BoxFuture<'static, ()>; 7] = [
            Box::pin(self.sweeper().run(stop.clone())),
            Box::pin(self.segment_job().run(stop.clone())),
            Box::pin(self.auditor().run(stop.clone())),
            Box::pin(self.fold_job().run(stop.clone())),
            Box::pin(self.ranking_job().run(stop.clone())),
            Box::pin(self.journal_state_copier().run(stop.clone())),
            Box::pin(stalled_copy::terminate_stalled_copies(self.store.clone(), stop.clone())),
        ];
        for job in jobs {
            workers.spawn(async move {
                job.await;
                Ok(())
            });
        }
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
            store: self.store.clone(),
            metrics: self.metrics.events.clone(),
            storing: self.metrics.storing.clone(),
            deferred: self.deferred.clone(),
            backlog: self.backlog.clone(),
            // Well before the journal redelivers the frames.
            heartbeat_every: self.journal.ack_wait() / 3,
            failpoint: self.settings.failpoint,
        }
    }

    fn sweeper(&self) -> Sweeper {
        Sweeper {
            retention: self.settings.retention,
            store: self.store.clone(),
            journal: self.journal.clone(),
            clock: self.clock.clone(),
            metrics: self.metrics.removal.clone(),
        }
    }

    fn segment_job(&self) -> SegmentJob {
        SegmentJob { store: self.store.clone(), retention: self.settings.retention }
    }

    fn fold_job(&self) -> FoldJob {
        FoldJob {
            store: self.store.clone(),
            backlog: self.backlog.clone(),
            metrics: self.metrics.people.clone(),
        }
    }

    fn ranking_job(&self) -> RankingJob {
        RankingJob {
            store: self.store.clone(),
            backlog: self.backlog.clone(),
            metrics: self.metrics.rankings.clone(),
        }
    }

    fn auditor(&self) -> Auditor {
        Auditor {
            journal: self.journal.clone(),
            store: self.store.clone(),
            metrics: self.metrics.audit.clone(),
        }
    }

    fn journal_state_copier(&self) -> JournalStateCopier {
        JournalStateCopier {
            journal: self.journal.clone(),
            store: self.store.clone(),
            lost: self.metrics.lost.clone(),
            latch: self.lost_latch.clone(),
        }
    }

    fn watch_dependencies(self, stop: &Stop) {
        self.journal.watch_clock(&self.clock, stop);
        let of_clock = self.database.clone();
        self.clock.watch_microseconds("database", stop.clone(), move || {
            let database = of_clock.clone();
            async move { weir_database::clock::server_time(&database).await.map_err(|error| error.to_string()) }
        });
        let Self { journal, database, deferred, journal_latch, database_latch, deferred_latch, .. } = self;
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
        deferred_latch.sample(stop.clone(), move || std::future::ready(deferred.check()));
    }
}
