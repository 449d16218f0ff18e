//! NATS_URL and the settings of the journal.

use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use tracing::info;
use url::Url;
use weir::{
    journal::{Journal, Settings},
    process::{args::Mistakes, grpc},
};

use super::{
    DataFolder,
    patience::{PATIENCE, patiently},
};
use crate::quantity;

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
}

/// Where the journal is, and what a deployment may choose of it.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Journal")]
pub(crate) struct JournalArgs {
    #[command(flatten)]
    pub(crate) url: JournalUrlArgs,
    /// How much accepted events may take, in bytes or as 512MiB or 8GiB, before new ones are answered 503.
    #[arg(long, env = "JOURNAL_MAX_BYTES", default_value = "8GiB", value_name = "SIZE")]
    journal_max_bytes: String,
    /// How long a collector may hold a frame before another one is offered it, in milliseconds.
    #[arg(long, env = "JOURNAL_ACK_WAIT_MS", default_value = "30000", value_name = "MILLISECONDS")]
    journal_ack_wait_ms: String,
    /// Copies of each stream in a JetStream cluster: 1 on a single server, 3 or 5 in a cluster.
    #[arg(long, env = "JOURNAL_REPLICAS", default_value = "1", value_name = "COPIES")]
    journal_replicas: String,
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

impl JournalUrlArgs {
    /// The servers, or none where the journal is on files.
    pub(crate) fn check(&self, mistakes: &mut Mistakes) -> Option<Option<String>> {
        let nats_url = self.nats_url.as_deref().filter(|url| !url.is_empty());
        mistakes.check("NATS_URL", nats_url.map(servers).transpose())
    }
}

impl JournalArgs {
    pub(crate) fn check(&self, mistakes: &mut Mistakes) -> Option<JournalPlace> {
        let nats_url = self.url.check(mistakes);
        let max_bytes = mistakes.check("JOURNAL_MAX_BYTES", quantity::bytes(&self.journal_max_bytes));
        let ack_wait = quantity::at_least(LEAST_ACK_WAIT_MS, &self.journal_ack_wait_ms);
        let ack_wait = mistakes.check("JOURNAL_ACK_WAIT_MS", ack_wait);
        let replicas = mistakes.check("JOURNAL_REPLICAS", replicas(&self.journal_replicas));
        let settings = Settings {
            max_bytes: max_bytes?,
            ack_wait: Duration::from_millis(ack_wait?),
            replicas: replicas?,
            ..Settings::default()
        };
        Some(JournalPlace { nats_url: nats_url?, settings })
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

    pub(crate) fn ack_wait(&self) -> Duration {
        self.settings.ack_wait
    }

    /// Opens the journal; waits for a server that is not there yet. `folder` is there for an embedded one.
    ///
    /// # Errors
    /// The server does not come, or can't be used; the folder can't be written.
    pub(crate) async fn open(self, folder: Option<&DataFolder>) -> anyhow::Result<Journal> {
        let Self { nats_url, settings } = self;
        match (nats_url, folder) {
            (Some(url), _) => {
                info!("connecting to jetstream");
                let connecting = Box::pin(Journal::connect(&url, settings, PATIENCE));
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
