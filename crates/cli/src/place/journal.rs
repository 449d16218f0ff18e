//! NATS_URL and the settings of the journal.

use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use tokio::time::{Instant, sleep};
use tracing::{error, info};
use url::Url;
use weir::{
    journal::{Journal, JournalError, Names, Observer, Ownership, Settings},
    process::{Latch, args::Mistakes, grpc},
};

use super::{
    DataFolder,
    patience::{PATIENCE, patiently},
};
use crate::quantity;

/// One attempt at a server, of several until [`PATIENCE`] is over.
const ATTEMPT: Duration = Duration::from_secs(3);
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(500);
/// A frame is stored in milliseconds; a shorter deadline would offer it again while it is being stored.
const LEAST_ACK_WAIT_MS: u64 = 1_000;

/// Where the journal is.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Journal")]
pub(crate) struct JournalUrlArgs {
    /// The NATS server with JetStream that keeps the journal, such as nats://127.0.0.1:4222; several of a cluster
    /// are separated by commas. `up` keeps it on files where this is absent, a single role needs it.
    #[arg(long, env = "NATS_URL", hide_env_values = true, value_name = "URL")]
    pub(crate) nats_url: Option<String>,
    /// In front of every name on the NATS server, so that several deployments share one: acme makes acme_EVENTS,
    /// acme.events.facebook and acme-collector-facebook. 1 to 32 letters, digits, - or _; the same for every role.
    #[arg(long, env = "JOURNAL_PREFIX", value_name = "PREFIX")]
    journal_prefix: Option<String>,
}

/// Where the journal is, checked.
#[derive(Clone, Debug)]
pub(crate) struct JournalAddress {
    /// The servers, or none where the journal is on files.
    pub(crate) nats_url: Option<String>,
    names: Names,
}

/// Where the journal is, and what a deployment may choose of it.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Journal")]
pub(crate) struct JournalArgs {
    #[command(flatten)]
    pub(crate) url: JournalUrlArgs,
    /// How much accepted events may take, in bytes or as 512MiB or 8GiB, before new ones are answered 503; by default
    /// 8GiB. On a server ingest sets it, and raises it by itself; `weir journal apply --shrink` lowers it.
    #[arg(long, env = "JOURNAL_MAX_BYTES", value_name = "SIZE")]
    journal_max_bytes: Option<String>,
    /// How long a collector may hold a frame before another one is offered it, in milliseconds; by default 30000. On a
    /// server ingest sets it, as above.
    #[arg(long, env = "JOURNAL_ACK_WAIT_MS", value_name = "MILLISECONDS")]
    journal_ack_wait_ms: Option<String>,
    /// Copies of each stream in a JetStream cluster: 1 on a single server (the default), 3 or 5 in a cluster. Ingest sets
    /// it, as above.
    #[arg(long, env = "JOURNAL_REPLICAS", value_name = "COPIES")]
    journal_replicas: Option<String>,
}

/// Where the servers of the journal say what they promise.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Journal")]
pub(crate) struct MonitorArgs {
    /// The monitoring ports of the NATS servers, comma-separated, such as http://127.0.0.1:8222: asked whether they
    /// sync before they acknowledge. Without one it is unknown whether acknowledged events outlive a power cut.
    /// Metric: weir_journal_durability.
    #[arg(long, env = "NATS_MONITOR_URL", value_name = "URLS")]
    nats_monitor_url: Option<String>,
}

/// The journal that was chosen.
#[derive(Clone, Debug)]
pub(crate) struct JournalPlace {
    /// The embedded one in the data folder, where this is absent.
    nats_url: Option<String>,
    settings: Settings,
}

impl JournalAddress {
    /// Of a tool, which chooses nothing.
    pub(crate) fn settings(&self) -> Settings {
        Settings { names: self.names.clone(), ownership: Ownership::Guest, ..Settings::default() }
    }
}

impl JournalUrlArgs {
    pub(crate) fn check(&self, mistakes: &mut Mistakes) -> Option<JournalAddress> {
        let nats_url = given(self.nats_url.as_ref()).map(servers).transpose();
        let nats_url = mistakes.check("NATS_URL", nats_url);
        let names = given(self.journal_prefix.as_ref()).map(Names::behind).transpose();
        let names = mistakes.check("JOURNAL_PREFIX", names);
        Some(JournalAddress { nats_url: nats_url?, names: names?.unwrap_or_default() })
    }
}

impl JournalArgs {
    pub(crate) fn check(&self, mistakes: &mut Mistakes) -> Option<JournalPlace> {
        let address = self.url.check(mistakes);
        let max_bytes = given(self.journal_max_bytes.as_ref()).map(quantity::bytes).transpose();
        let max_bytes = mistakes.check("JOURNAL_MAX_BYTES", max_bytes);
        let ack_wait = given(self.journal_ack_wait_ms.as_ref());
        let ack_wait = ack_wait.map(|text| quantity::at_least(LEAST_ACK_WAIT_MS, text)).transpose();
        let ack_wait = mistakes.check("JOURNAL_ACK_WAIT_MS", ack_wait);
        let replicas = given(self.journal_replicas.as_ref()).map(replicas).transpose();
        let replicas = mistakes.check("JOURNAL_REPLICAS", replicas);
        let JournalAddress { nats_url, names } = address?;
        let default = Settings::default();
        let settings = Settings {
            max_bytes: max_bytes?.unwrap_or(default.max_bytes),
            ack_wait: ack_wait?.map_or(default.ack_wait, Duration::from_millis),
            replicas: replicas?.unwrap_or(default.replicas),
            names,
            ..default
        };
        Some(JournalPlace { nats_url, settings })
    }

    /// The journal, which a single role must be told: the other roles have to find it.
    pub(crate) fn require(&self, mistakes: &mut Mistakes) -> Option<JournalPlace> {
        if self.url.nats_url.as_deref().is_none_or(str::is_empty) {
            mistakes.add("NATS_URL: is required, such as nats://127.0.0.1:4222");
        }
        self.check(mistakes)
    }
}

impl MonitorArgs {
    pub(crate) fn check(&self, mistakes: &mut Mistakes) -> Option<Vec<Url>> {
        let urls = self.nats_monitor_url.as_deref().filter(|urls| !urls.is_empty());
        mistakes
            .check("NATS_MONITOR_URL", urls.map(grpc::addresses).transpose())
            .map(Option::unwrap_or_default)
    }
}

impl JournalPlace {
    /// The same journal, whose servers are asked at `monitors` what they promise.
    pub(crate) fn monitored(mut self, monitors: Vec<Url>) -> Self {
        self.settings.monitors = monitors;
        self
    }

    pub(crate) fn in_folder(&self) -> bool {
        self.nats_url.is_none()
    }

    /// The same journal, for a role that leaves its settings to ingest.
    pub(crate) fn owned_by_ingest(mut self) -> Self {
        self.settings.ownership = Ownership::Guest;
        self
    }

    /// Looks at the journal on a server, with the settings of its owner.
    ///
    /// # Errors
    /// The server does not come within `patience`; the journal is on files.
    pub(crate) async fn observe(&self, patience: Duration) -> anyhow::Result<Observer> {
        let url = self
            .nats_url
            .as_deref()
            .context("the journal is on files, which have the settings of their process")?;
        Ok(Observer::connect(url, self.settings.clone(), patience).await?)
    }

    /// Opens the journal; waits for a server that is not there yet, or can't be used yet, and says why in `latches`.
    /// `folder` is there for an embedded one.
    ///
    /// # Errors
    /// The server does not come, or can't be used; the folder can't be written.
    pub(crate) async fn open(
        self,
        folder: Option<&DataFolder>,
        latches: &[&Latch],
    ) -> anyhow::Result<Journal> {
        let Self { nats_url, settings } = self;
        match (nats_url, folder) {
            (Some(url), _) => {
                info!("connecting to jetstream");
                let connecting = Box::pin(connect(&url, &settings, latches));
                patiently("jetstream", connecting).await.context("can't open the journal (NATS_URL)")
            }
            (None, Some(folder)) => {
                let opened = Journal::open(folder.path(), settings).await;
                opened.with_context(|| format!("can't open the journal in {}", folder.path().display()))
            }
            (None, None) => anyhow::bail!("an embedded journal needs a data folder"),
        }
    }
}

/// Tries until the journal can be used, at most for [`PATIENCE`]: an operator may mend what is wrong meanwhile.
async fn connect(url: &str, settings: &Settings, latches: &[&Latch]) -> Result<Journal, JournalError> {
    let deadline = Instant::now() + PATIENCE;
    let mut told = String::new();
    loop {
        let error = match Journal::connect(url, settings.clone(), ATTEMPT).await {
            Ok(journal) => {
                info!("connected to jetstream");
                return Ok(journal);
            }
            Err(error) if Instant::now() >= deadline => return Err(error),
            Err(error) => error,
        };
        let reason = error.to_string();
        latches.iter().for_each(|latch| latch.set(Err(reason.clone())));
        if told != reason {
            error!(reason, "the role waits for its journal");
            told = reason;
        }
        sleep(BETWEEN_ATTEMPTS).await;
    }
}

/// A variable that is empty is as if it were not set.
fn given(text: Option<&String>) -> Option<&str> {
    text.map(String::as_str).filter(|text| !text.trim().is_empty())
}

/// The URL may carry a password, so it is not repeated.
fn servers(text: &str) -> Result<String, &'static str> {
    let is_server = |text: &str| {
        Url::parse(text.trim()).is_ok_and(|url| matches!(url.scheme(), "nats" | "tls") && url.has_host())
    };
    let all_are = text.split(',').all(is_server);
    all_are.then(|| text.to_owned()).ok_or("is no address such as nats://127.0.0.1:4222")
}

fn replicas(text: &str) -> Result<usize, String> {
    match quantity::at_least(1, text)? {
        1 => Ok(1),
        3 => Ok(3),
        5 => Ok(5),
        other => Err(format!("{other} is none of 1, 3, 5")),
    }
}
