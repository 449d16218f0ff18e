//! `weir collect`: stores the frames of a JetStream journal. Any number of collectors of a source share its
//! frames.

use clap::{Args, ValueEnum};
use weir_collectors::{Collector, CollectorArgs, CollectorMetrics, CollectorSettings, FailpointArgs};
use weir_database::{DatabaseUrl, register_pools};
use weir_event::{EventMetrics, Service, Source};
use weir_journal::LostFrameMetrics;
use weir_process::{
    Host,
    args::{ConfigErrors, Misconfigured, ProcessArgs, ProcessConfig},
    clock::ClockMetrics,
};

use crate::{
    exit::{CommandResult, configured},
    runner,
    storage::{JournalArgs, JournalConfig, StoreArgs, store},
};

/// The sources whose frames are collected.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Sources {
    Facebook,
    Tiktok,
    All,
}

impl Sources {
    fn sources(self) -> &'static [Source] {
        match self {
            Self::Facebook => &[Source::Facebook],
            Self::Tiktok => &[Source::Tiktok],
            Self::All => Source::ALL,
        }
    }

    fn process_name(self) -> &'static str {
        match self {
            Self::Facebook => Service::FacebookCollector.name(),
            Self::Tiktok => Service::TiktokCollector.name(),
            Self::All => "collectors",
        }
    }

    fn admin_port(self) -> u16 {
        match self {
            Self::Facebook | Self::All => 9103,
            Self::Tiktok => 9104,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct CollectCommand {
    /// The source whose events are stored.
    #[arg(value_name = "SOURCE")]
    sources: Sources,
    #[command(flatten)]
    collectors: CollectorArgs,
    #[command(flatten)]
    failpoint: FailpointArgs,
    #[command(flatten)]
    journal: JournalArgs,
    #[command(flatten)]
    store: StoreArgs,
    #[command(flatten)]
    process: ProcessArgs,
}

struct Config {
    process: ProcessConfig,
    journal: JournalConfig,
    store: DatabaseUrl,
    settings: CollectorSettings,
}

impl CollectCommand {
    fn check(&self) -> Result<Config, Misconfigured> {
        let mut errors = ConfigErrors::default();
        let (_, process) = self.process.check(self.sources.admin_port(), &mut errors);
        let journal = self.journal.require(&mut errors);
        let store = self.store.require(&mut errors);
        let workers = self.collectors.workers(&mut errors);
        let retention = self.collectors.retention(&mut errors);
        let failpoint = self.failpoint.check(&mut errors);
        let config = || {
            let (process, journal, store) = (process?, journal?, store?);
            let settings = CollectorSettings::new(workers, &store, retention?);
            let settings = CollectorSettings { failpoint, ..settings };
            Some(Config { process, journal: journal.owned_by_ingest(), store, settings })
        };
        configured(config(), errors)
    }
}

pub(crate) async fn run(args: CollectCommand) -> CommandResult {
    let config = args.check()?;
    let process = config.process.clone();
    let sources = args.sources;
    runner::host(sources.process_name(), &process, async |host| start(host, sources, config).await).await
}

async fn start(host: &mut Host, sources: Sources, config: Config) -> anyhow::Result<()> {
    let metrics = EventMetrics::register(host.registry());
    let clock = ClockMetrics::register(host.registry());
    let lost = LostFrameMetrics::register(host.registry());
    let metrics = CollectorMetrics::register(host.registry(), metrics, clock, lost);
    let readiness = host.readiness(sources.process_name());
    let [opened, waiting] = ["journal", "database"].map(|name| readiness.wait_for(name));
    let journal = config.journal.open(None, &[&opened]).await?;
    opened.set(Ok(()));
    let store = store::open_migrated(&config.store, &[&waiting]).await?;
    register_pools(host.registry(), &[("collectors", &store)]);
    let collector =
        Collector::new(sources.sources(), journal.clone(), store, metrics, &readiness, config.settings);
    host.add(sources.process_name(), |stop| collector.run(stop));
    runner::keep_journal(host, journal, None);
    Ok(())
}
