//! NATS_URL and the settings of the journal.

use std::{path::PathBuf, time::Duration};

use anyhow::Context as _;
use clap::Args;
use tokio::time::{Instant, sleep};
use tracing::{error, info};
use url::Url;
use weir_journal::{Identity, Journal, JournalError, Names, Observer, Ownership, Servers, Settings};
use weir_process::{Latch, args::ConfigErrors, grpc};

use super::data_folder::DataFolder;
use crate::{
    units,
    wait::{PATIENCE, patiently},
};

/// One attempt at a server, of several until [`PATIENCE`] is over. With the last look at a server that says nothing it ends
/// within five seconds, so that the cause is told by then.
const ATTEMPT: Duration = Duration::from_secs(2);
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(500);
/// A frame is stored in milliseconds; a shorter deadline would offer it again while it is being stored.
const LEAST_ACK_WAIT_MS: u64 = 1_000;

/// Where the journal is.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Journal")]
pub(crate) struct JournalUrlArgs {
    /// The NATS server with JetStream that keeps the journal, such as nats://127.0.0.1:4222; several of a cluster
    /// are separated by commas. `up` keeps it on files where this is absent, a single role needs it.
    /// USER:PASSWORD@ or TOKEN@ before a host is the login there, percent-encoded; tls:// encrypts.
    #[arg(long, env = "NATS_URL", hide_env_values = true, value_name = "URL")]
    pub(crate) nats_url: Option<String>,
    /// A file that holds the URL, instead.
    #[arg(long, env = "NATS_URL_FILE", value_name = "FILE")]
    pub(crate) nats_url_file: Option<PathBuf>,
    #[command(flatten)]
    identity: NatsIdentityArgs,
    /// In front of every name on the NATS server, so that several deployments share one: acme makes acme_EVENTS,
    /// acme.events.facebook and acme-collector-facebook. 1 to 32 letters, digits, - or _; the same for every role.
    #[arg(long, env = "JOURNAL_PREFIX", value_name = "PREFIX")]
    journal_prefix: Option<String>,
}

/// How a client and the servers know each other. Every file is read again at each connection, so that it may be replaced
/// while the process runs.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Journal")]
struct NatsIdentityArgs {
    /// The credentials file of a NATS user, with its JWT and seed.
    #[arg(long, env = "NATS_CREDS", value_name = "FILE")]
    nats_creds: Option<PathBuf>,
    /// The file with the seed of a NATS user that the server knows by its public key.
    #[arg(long, env = "NATS_NKEY", value_name = "FILE")]
    nats_nkey: Option<PathBuf>,
    /// The PEM file of the CA that signed the certificates of the NATS servers, in place of the system's CAs. Asks for TLS.
    #[arg(long, env = "NATS_CA", value_name = "FILE")]
    nats_ca: Option<PathBuf>,
    /// The PEM file of the certificate that is shown to the NATS servers. Asks for TLS, and needs NATS_KEY.
    #[arg(long, env = "NATS_CERT", value_name = "FILE")]
    nats_cert: Option<PathBuf>,
    /// The PEM file of the key of NATS_CERT.
    #[arg(long, env = "NATS_KEY", value_name = "FILE")]
    nats_key: Option<PathBuf>,
    /// The JetStream domain that keeps the journal, where the servers are leaf nodes beside it.
    #[arg(long, env = "NATS_JETSTREAM_DOMAIN", value_name = "NAME")]
    nats_jetstream_domain: Option<String>,
}

/// Where the journal is, checked.
#[derive(Clone, Debug)]
pub(crate) struct JournalAddress {
    /// The servers, or none where the journal is on files.
    pub(crate) servers: Option<Servers>,
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
    #[arg(long, env = "NATS_MONITOR_URL", hide_env_values = true, value_name = "URLS")]
    nats_monitor_url: Option<String>,
}

/// The journal that was chosen.
#[derive(Clone, Debug)]
pub(crate) struct JournalPlace {
    /// The embedded one in the data folder, where this is absent.
    servers: Option<Servers>,
    settings: Settings,
}

impl JournalAddress {
    /// Of a tool, which chooses nothing.
    pub(crate) fn settings(&self) -> Settings {
        Settings { names: self.names.clone(), ownership: Ownership::Guest, ..Settings::default() }
    }
}

impl JournalUrlArgs {
    pub(crate) fn check(&self, mistakes: &mut ConfigErrors) -> Option<JournalAddress> {
        let url = mistakes.secret("NATS_URL", self.nats_url.as_deref(), self.nats_url_file.as_ref());
        let servers = url.and_then(|url| {
            mistakes.check("NATS_URL", url.as_deref().map(str::parse::<Servers>).transpose())
        });
        let servers = servers.map(|servers| servers.map(|servers| self.identity.apply(servers, mistakes)));
        let names = given(self.journal_prefix.as_ref()).map(Names::behind).transpose();
        let names = mistakes.check("JOURNAL_PREFIX", names);
        Some(JournalAddress { servers: servers?, names: names?.unwrap_or_default() })
    }
}

impl NatsIdentityArgs {
    /// The servers with what these arguments say of them.
    fn apply(&self, mut servers: Servers, mistakes: &mut ConfigErrors) -> Servers {
        let identities = [
            ("a login in NATS_URL", servers.have_logins().then_some(Identity::Url)),
            ("NATS_CREDS", path(self.nats_creds.as_ref()).map(Identity::Credentials)),
            ("NATS_NKEY", path(self.nats_nkey.as_ref()).map(Identity::Nkey)),
        ];
        let given: Vec<_> =
            identities.into_iter().filter_map(|(name, identity)| Some((name, identity?))).collect();
        if given.len() > 1 {
            let names: Vec<_> = given.iter().map(|(name, _)| *name).collect();
            mistakes.add(format!("{}: are several ways to log in; leave one", names.join(", ")));
        }
        if let Some((_, identity)) = given.into_iter().next() {
            servers = servers.identified_by(identity);
        }
        if let Some(ca) = path(self.nats_ca.as_ref()) {
            servers = servers.trusting(ca);
        }
        match (path(self.nats_cert.as_ref()), path(self.nats_key.as_ref())) {
            (Some(certificate), Some(key)) => servers = servers.shown_certificate(certificate, key),
            (Some(_), None) => mistakes.add("NATS_CERT: needs NATS_KEY, the file with its key"),
            (None, Some(_)) => mistakes.add("NATS_KEY: needs NATS_CERT, the file with its certificate"),
            (None, None) => {}
        }
        match given_domain(self.nats_jetstream_domain.as_ref()) {
            Ok(Some(domain)) => servers.in_domain(domain),
            Ok(None) => servers,
            Err(reason) => {
                mistakes.add(format!("NATS_JETSTREAM_DOMAIN: {reason}"));
                servers
            }
        }
    }
}

impl JournalArgs {
    pub(crate) fn check(&self, mistakes: &mut ConfigErrors) -> Option<JournalPlace> {
        let address = self.url.check(mistakes);
        let max_bytes = given(self.journal_max_bytes.as_ref()).map(units::bytes).transpose();
        let max_bytes = mistakes.check("JOURNAL_MAX_BYTES", max_bytes);
        let ack_wait = given(self.journal_ack_wait_ms.as_ref());
        let ack_wait = ack_wait.map(|text| units::at_least(LEAST_ACK_WAIT_MS, text)).transpose();
        let ack_wait = mistakes.check("JOURNAL_ACK_WAIT_MS", ack_wait);
        let replicas = given(self.journal_replicas.as_ref()).map(replicas).transpose();
        let replicas = mistakes.check("JOURNAL_REPLICAS", replicas);
        let JournalAddress { servers, names } = address?;
        let default = Settings::default();
        let settings = Settings {
            max_bytes: max_bytes?.unwrap_or(default.max_bytes),
            ack_wait: ack_wait?.map_or(default.ack_wait, Duration::from_millis),
            replicas: replicas?.unwrap_or(default.replicas),
            names,
            ..default
        };
        Some(JournalPlace { servers, settings })
    }

    /// The journal, which a single role must be told: the other roles have to find it.
    pub(crate) fn require(&self, mistakes: &mut ConfigErrors) -> Option<JournalPlace> {
        let text = self.url.nats_url.as_deref().unwrap_or_default();
        if text.trim().is_empty() && self.url.nats_url_file.is_none() {
            mistakes.add("NATS_URL: is required, such as nats://127.0.0.1:4222");
        }
        self.check(mistakes)
    }
}

impl MonitorArgs {
    pub(crate) fn check(&self, mistakes: &mut ConfigErrors) -> Option<Vec<Url>> {
        let urls = self.nats_monitor_url.as_deref().filter(|urls| !urls.is_empty());
        mistakes.check("NATS_MONITOR_URL", urls.map(grpc::urls).transpose()).map(Option::unwrap_or_default)
    }
}

impl JournalPlace {
    /// The same journal, whose servers are asked at `monitors` what they promise.
    pub(crate) fn monitored(mut self, monitors: Vec<Url>) -> Self {
        self.settings.monitors = monitors;
        self
    }

    pub(crate) fn in_folder(&self) -> bool {
        self.servers.is_none()
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
        let servers = self
            .servers
            .as_ref()
            .context("the journal is on files, which have the settings of their process")?;
        Ok(Observer::connect(servers, self.settings.clone(), patience).await?)
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
        let Self { servers, settings } = self;
        match (servers, folder) {
            (Some(servers), _) => {
                info!(%servers, "connecting to jetstream");
                let connecting = Box::pin(connect(&servers, &settings, latches));
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
async fn connect(
    servers: &Servers,
    settings: &Settings,
    latches: &[&Latch],
) -> Result<Journal, JournalError> {
    let deadline = Instant::now() + PATIENCE;
    let mut told = String::new();
    loop {
        let error = match Journal::connect(servers, settings.clone(), ATTEMPT).await {
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

fn path(path: Option<&PathBuf>) -> Option<PathBuf> {
    path.filter(|path| !path.as_os_str().is_empty()).cloned()
}

/// A domain is a token of the API's subjects.
fn given_domain(text: Option<&String>) -> Result<Option<String>, &'static str> {
    let Some(domain) = given(text) else { return Ok(None) };
    let is_token = |letter: char| !letter.is_whitespace() && !letter.is_control() && !".*>".contains(letter);
    if domain.chars().all(is_token) {
        Ok(Some(domain.to_owned()))
    } else {
        Err("is a name without spaces, ., * and >")
    }
}

fn replicas(text: &str) -> Result<usize, String> {
    match units::at_least(1, text)? {
        1 => Ok(1),
        3 => Ok(3),
        5 => Ok(5),
        other => Err(format!("{other} is none of 1, 3, 5")),
    }
}
