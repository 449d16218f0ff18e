//! NATS_URL and the settings of the journal.

use std::{path::PathBuf, time::Duration};

use anyhow::Context as _;
use clap::Args;
use tokio::time::Instant;
use tracing::info;
use url::Url;
use weir_journal::{ClientIdentity, Journal, JournalError, Names, Observer, Ownership, Servers, Settings};
use weir_process::{
    Latch,
    args::ConfigErrors,
    grpc,
    retry::{Backoff, Retry},
};

use super::data_folder::DataFolder;
use crate::{
    units,
    wait::{FIRST_PAUSE, LONGEST_PAUSE, START_TIMEOUT, WaitReport, with_wait_notice},
};

/// The timeout of one attempt, of several until [`START_TIMEOUT`] is over. With the last probe of a silent
/// server it ends within five seconds, so the cause is known by then.
const ATTEMPT: Duration = Duration::from_secs(2);
/// A frame is stored in milliseconds. A shorter deadline would deliver it again while it is being stored.
const LEAST_ACK_WAIT_MS: u64 = 1_000;

/// The location of the journal.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Journal")]
pub(crate) struct JournalUrlArgs {
    /// The NATS server with JetStream that keeps the journal, such as nats://127.0.0.1:4222; the servers of a
    /// cluster are separated by commas. Without it `up` keeps the journal on files; a single role requires
    /// it. USER:PASSWORD@ or TOKEN@ before a host is the login there, percent-encoded; tls:// encrypts.
    #[arg(long, env = "NATS_URL", value_name = "URL")]
    pub(crate) nats_url: Option<String>,
    /// A file that holds the URL. For a login take it, or the variable: every user of the machine can read
    /// arguments.
    #[arg(long, env = "NATS_URL_FILE", value_name = "FILE")]
    pub(crate) nats_url_file: Option<PathBuf>,
    #[command(flatten)]
    identity: NatsIdentityArgs,
    /// A prefix of every name on the NATS server, so that several deployments share one: acme makes
    /// acme_EVENTS, acme.events.facebook and acme-collector-facebook. 1 to 32 letters, digits, - or _; the
    /// same for every role.
    #[arg(long, env = "JOURNAL_PREFIX", value_name = "PREFIX")]
    journal_prefix: Option<String>,
}

/// The identities of the client and the servers. Every file is read again at each connection, so that it can
/// be replaced while the process runs.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Journal")]
struct NatsIdentityArgs {
    /// The credentials file of a NATS user, with its JWT and seed.
    #[arg(long, env = "NATS_CREDS", value_name = "FILE")]
    nats_creds: Option<PathBuf>,
    /// The file with the seed of a NATS user that the server knows by its public key.
    #[arg(long, env = "NATS_NKEY", value_name = "FILE")]
    nats_nkey: Option<PathBuf>,
    /// The PEM file of the CA that signed the certificates of the NATS servers; it replaces the system's CAs.
    /// Requires TLS.
    #[arg(long, env = "NATS_CA", value_name = "FILE")]
    nats_ca: Option<PathBuf>,
    /// The PEM file of the certificate that the client presents to the NATS servers. Requires TLS and
    /// NATS_KEY.
    #[arg(long, env = "NATS_CERT", value_name = "FILE")]
    nats_cert: Option<PathBuf>,
    /// The PEM file of the key of NATS_CERT.
    #[arg(long, env = "NATS_KEY", value_name = "FILE")]
    nats_key: Option<PathBuf>,
    /// The JetStream domain that keeps the journal, if the servers are leaf nodes beside it.
    #[arg(long, env = "NATS_JETSTREAM_DOMAIN", value_name = "NAME")]
    nats_jetstream_domain: Option<String>,
}

/// The checked location of the journal.
#[derive(Clone, Debug)]
pub(crate) struct JournalLocation {
    /// The servers; `None` if the journal is on files.
    pub(crate) servers: Option<Servers>,
    names: Names,
}

/// The location of the journal, and the settings that a deployment may choose.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Journal")]
pub(crate) struct JournalArgs {
    #[command(flatten)]
    pub(crate) url: JournalUrlArgs,
    /// The space for accepted events, in bytes or as 512MiB or 8GiB; by default 8GiB. A full journal answers
    /// new events with 503. On a server ingest sets it, and raises it by itself; `weir journal apply
    /// --shrink` lowers it.
    #[arg(long, env = "JOURNAL_MAX_BYTES", value_name = "SIZE")]
    journal_max_bytes: Option<String>,
    /// How long a collector may hold a frame before the journal delivers it again, in milliseconds; by
    /// default 30000. On a NATS server ingest sets this value.
    #[arg(long, env = "JOURNAL_ACK_WAIT_MS", value_name = "MILLISECONDS")]
    journal_ack_wait_ms: Option<String>,
    /// Copies of each stream in a JetStream cluster: 1 on a single server (the default), 3 or 5 in a cluster. On a
    /// NATS server ingest sets this value.
    #[arg(long, env = "JOURNAL_REPLICAS", value_name = "COPIES")]
    journal_replicas: Option<String>,
}

/// The monitoring ports of the journal's servers.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Journal")]
pub(crate) struct MonitorArgs {
    /// The monitoring ports of the NATS servers, comma-separated, such as http://127.0.0.1:8222. They report
    /// if the servers sync before they acknowledge. Without one it is unknown whether acknowledged events
    /// survive a power cut. Metric: weir_journal_durability.
    #[arg(long, env = "NATS_MONITOR_URL", value_name = "URLS")]
    nats_monitor_url: Option<String>,
}

/// The chosen journal, with its settings.
#[derive(Clone, Debug)]
pub(crate) struct JournalConfig {
    /// The servers; `None` for the embedded journal in the data folder.
    servers: Option<Servers>,
    settings: Settings,
}

impl JournalLocation {
    /// The settings of a tool, which chooses nothing.
    pub(crate) fn settings(&self) -> Settings {
        Settings { names: self.names.clone(), ownership: Ownership::Guest, ..Settings::default() }
    }
}

impl JournalUrlArgs {
    pub(crate) fn check(&self, errors: &mut ConfigErrors) -> Option<JournalLocation> {
        let url = errors.secret("NATS_URL", self.nats_url.as_deref(), self.nats_url_file.as_ref());
        let servers = url
            .and_then(|url| errors.check("NATS_URL", url.as_deref().map(str::parse::<Servers>).transpose()));
        let servers = servers.map(|servers| servers.map(|servers| self.identity.apply(servers, errors)));
        let names = given(self.journal_prefix.as_ref()).map(Names::with_prefix).transpose();
        let names = errors.check("JOURNAL_PREFIX", names);
        Some(JournalLocation { servers: servers?, names: names?.unwrap_or_default() })
    }
}

impl NatsIdentityArgs {
    /// Adds the identities of these arguments to the servers.
    fn apply(&self, mut servers: Servers, errors: &mut ConfigErrors) -> Servers {
        let identities = [
            ("a login in NATS_URL", servers.have_logins().then_some(ClientIdentity::Url)),
            ("NATS_CREDS", path(self.nats_creds.as_ref()).map(ClientIdentity::Credentials)),
            ("NATS_NKEY", path(self.nats_nkey.as_ref()).map(ClientIdentity::Nkey)),
        ];
        let given: Vec<_> =
            identities.into_iter().filter_map(|(name, identity)| Some((name, identity?))).collect();
        if given.len() > 1 {
            let names: Vec<_> = given.iter().map(|(name, _)| *name).collect();
            errors.add(format!("{}: are several ways to log in; leave one", names.join(", ")));
        }
        if let Some((_, identity)) = given.into_iter().next() {
            servers = servers.with_identity(identity);
        }
        if let Some(ca) = path(self.nats_ca.as_ref()) {
            servers = servers.with_ca(ca);
        }
        match (path(self.nats_cert.as_ref()), path(self.nats_key.as_ref())) {
            (Some(certificate), Some(key)) => servers = servers.with_client_certificate(certificate, key),
            (Some(_), None) => errors.add("NATS_CERT: needs NATS_KEY, the file with its key"),
            (None, Some(_)) => errors.add("NATS_KEY: needs NATS_CERT, the file with its certificate"),
            (None, None) => {}
        }
        match given_domain(self.nats_jetstream_domain.as_ref()) {
            Ok(Some(domain)) => servers.with_domain(domain),
            Ok(None) => servers,
            Err(reason) => {
                errors.add(format!("NATS_JETSTREAM_DOMAIN: {reason}"));
                servers
            }
        }
    }
}

impl JournalArgs {
    pub(crate) fn check(&self, errors: &mut ConfigErrors) -> Option<JournalConfig> {
        let address = self.url.check(errors);
        let max_bytes = given(self.journal_max_bytes.as_ref()).map(units::bytes).transpose();
        let max_bytes = errors.check("JOURNAL_MAX_BYTES", max_bytes);
        let ack_wait = given(self.journal_ack_wait_ms.as_ref());
        let ack_wait = ack_wait.map(|text| units::at_least(LEAST_ACK_WAIT_MS, text)).transpose();
        let ack_wait = errors.check("JOURNAL_ACK_WAIT_MS", ack_wait);
        let replicas = given(self.journal_replicas.as_ref()).map(replicas).transpose();
        let replicas = errors.check("JOURNAL_REPLICAS", replicas);
        let JournalLocation { servers, names } = address?;
        let default = Settings::default();
        let settings = Settings {
            max_bytes: max_bytes?.unwrap_or(default.max_bytes),
            ack_wait: ack_wait?.map_or(default.ack_wait, Duration::from_millis),
            replicas: replicas?.unwrap_or(default.replicas),
            names,
            ..default
        };
        Some(JournalConfig { servers, settings })
    }

    /// Checks the settings of a single role. It requires NATS_URL, because the other roles must find the same
    /// journal.
    pub(crate) fn require(&self, errors: &mut ConfigErrors) -> Option<JournalConfig> {
        let text = self.url.nats_url.as_deref().unwrap_or_default();
        if text.trim().is_empty() && self.url.nats_url_file.is_none() {
            errors.add("NATS_URL: is required, such as nats://127.0.0.1:4222");
        }
        self.check(errors)
    }
}

impl MonitorArgs {
    pub(crate) fn check(&self, errors: &mut ConfigErrors) -> Option<Vec<Url>> {
        let urls = self.nats_monitor_url.as_deref().filter(|urls| !urls.is_empty());
        errors.check("NATS_MONITOR_URL", urls.map(grpc::urls).transpose()).map(Option::unwrap_or_default)
    }
}

impl JournalConfig {
    /// The same journal, whose durability is read at `monitors`.
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

    /// Observes the journal on a server, with the settings of its owner.
    ///
    /// # Errors
    /// The server does not answer within `max_wait`, or the journal is on files.
    pub(crate) async fn observe(&self, max_wait: Duration) -> anyhow::Result<Observer> {
        let servers = self
            .servers
            .as_ref()
            .context("the journal is on files, which have the settings of their process")?;
        Ok(Observer::connect(servers, self.settings.clone(), max_wait).await?)
    }

    /// Opens the journal, and waits for a server that is away or not usable yet. `latches` show the reason.
    /// An embedded journal needs `folder`.
    ///
    /// # Errors
    /// The server stays away or unusable, or the folder can't be written.
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
                with_wait_notice("jetstream", connecting).await.context("can't open the journal (NATS_URL)")
            }
            (None, Some(folder)) => {
                let opened = Journal::open(folder.path(), settings).await;
                opened.with_context(|| format!("can't open the journal in {}", folder.path().display()))
            }
            (None, None) => anyhow::bail!("an embedded journal needs a data folder"),
        }
    }
}

/// Retries until the journal is usable, at most for [`START_TIMEOUT`], because an operator may correct the
/// cause meanwhile.
async fn connect(
    servers: &Servers,
    settings: &Settings,
    latches: &[&Latch],
) -> Result<Journal, JournalError> {
    let mut waiting = WaitReport::new("journal", latches);
    let deadline = Instant::now() + START_TIMEOUT;
    let mut retry = Retry::with(Backoff::new(FIRST_PAUSE, LONGEST_PAUSE)).until(deadline);
    loop {
        let error = match Journal::connect(servers, settings.clone(), ATTEMPT).await {
            Ok(journal) => {
                info!("connected to jetstream");
                return Ok(journal);
            }
            Err(error) => error,
        };
        waiting.report(&error.to_string());
        if retry.next_attempt().await.is_err() {
            return Err(error);
        }
    }
}

/// An empty variable counts as unset.
fn given(text: Option<&String>) -> Option<&str> {
    text.map(String::as_str).filter(|text| !text.trim().is_empty())
}

fn path(path: Option<&PathBuf>) -> Option<PathBuf> {
    path.filter(|path| !path.as_os_str().is_empty()).cloned()
}

/// A domain must be one token of a subject of the JetStream API.
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
