//! DATABASE_URL: the location of the store, and the ways to open it.

use std::{
    path::{Path, PathBuf},
    sync::Once,
    time::Duration,
};

use anyhow::Context as _;
use clap::Args;
use sea_orm::DatabaseConnection;
use tokio::time::Instant;
use tracing::{info, warn};
use weir_database::{Access, DatabaseUrl, FaultKind, Rights, StoreFault};
use weir_process::{
    Latch,
    args::ConfigErrors,
    retry::{Backoff, Retry},
};

use crate::{
    output::eprint_line,
    private_files,
    wait::{FIRST_PAUSE, LONGEST_PAUSE, START_TIMEOUT, WaitReport},
};

/// The store's file in the data folder.
const FILE: &str = "store.sqlite";
const CONTEXT: &str = "can't open the store";
/// How long a tool waits for a server that is away. An operator waits for the tool.
const TOOL_PATIENCE: Duration = Duration::from_secs(3);

/// The location of the store.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Store")]
pub(crate) struct StoreArgs {
    /// The database of stored events, such as postgres://weir@127.0.0.1:5432/weir or
    /// sqlite:///var/lib/weir.sqlite. Without it `up` and `migrate` use a file in the data folder; a single
    /// role requires it.
    #[arg(long, env = "DATABASE_URL", value_name = "URL")]
    pub(crate) database_url: Option<String>,
    /// A file that holds the URL. For a password take it, or the variable: every user of the machine can read
    /// arguments.
    #[arg(long, env = "DATABASE_URL_FILE", value_name = "FILE")]
    pub(crate) database_url_file: Option<PathBuf>,
}

/// The chosen location.
#[derive(Clone, Debug)]
pub(crate) enum StoreLocation {
    Database(Box<DatabaseUrl>),
    /// SQLite in the data folder.
    Folder,
}

impl StoreArgs {
    pub(crate) fn check(&self, errors: &mut ConfigErrors) -> Option<StoreLocation> {
        let (text, file) = (self.database_url.as_deref(), self.database_url_file.as_ref());
        match errors.secret("DATABASE_URL", text, file)? {
            None => Some(StoreLocation::Folder),
            Some(url) => errors.check("DATABASE_URL", url.parse().map(Box::new)).map(StoreLocation::Database),
        }
    }

    /// Checks the settings of a single role. It requires DATABASE_URL, because the other roles must find the
    /// same store.
    pub(crate) fn require(&self, errors: &mut ConfigErrors) -> Option<DatabaseUrl> {
        match self.check(errors)? {
            StoreLocation::Database(url) => Some(*url),
            StoreLocation::Folder => {
                errors.add("DATABASE_URL: is required, such as postgres://weir@127.0.0.1:5432/weir");
                None
            }
        }
    }
}

impl StoreLocation {
    pub(crate) fn in_folder(&self) -> bool {
        matches!(self, Self::Folder)
    }

    /// The URL of the store; `folder` is the data folder.
    pub(crate) fn url(&self, folder: &Path) -> DatabaseUrl {
        match self {
            Self::Database(url) => *url.clone(),
            Self::Folder => in_folder(folder),
        }
    }
}

/// The URL of the store in a data folder.
pub(crate) fn in_folder(folder: &Path) -> DatabaseUrl {
    DatabaseUrl::file(&folder.join(FILE))
}

/// Opens the store for writing, migrates it, and checks that this build and this user may write. Waits for a
/// missing server or right; `latches` show the reason, and the log has it once.
///
/// # Errors
/// The server stays away or refuses for [`START_TIMEOUT`], or the configuration must change.
pub(crate) async fn open_migrated(
    url: &DatabaseUrl,
    latches: &[&Latch],
) -> anyhow::Result<DatabaseConnection> {
    let message = Once::new();
    wait_for(url, latches, async || {
        let store = weir_database::connect(url, Access::Write, Duration::ZERO).await?;
        let newer = migrate(&store, url).await?;
        if !newer.is_empty() {
            let migrations = newer.join(", ");
            message.call_once(|| {
                warn!(migrations, "a newer build has migrated the store, which is used as it is")
            });
        }
        weir_database::check(&store, Rights::Write).await?;
        Ok(store)
    })
    .await
}

/// Opens the store for reports, and changes nothing. Waits without a limit for the schema, otherwise like
/// [`open_migrated`].
///
/// # Errors
/// As of [`open_migrated`].
pub(crate) async fn open_for_reports(
    url: &DatabaseUrl,
    timeout: Duration,
    latches: &[&Latch],
) -> anyhow::Result<DatabaseConnection> {
    wait_for(url, latches, async || {
        let store = match weir_database::connect(url, Access::Report(timeout), Duration::ZERO).await {
            // The process that migrates the store creates the file.
            Err(fault) if url.is_missing_file() => return Err(fault.lacking_schema()),
            opened => opened?,
        };
        weir_database::check(&store, Rights::Read).await?;
        Ok(store)
    })
    .await
}

/// Opens the store for a tool, without a migration. Waits a few seconds for a server that is away.
///
/// # Errors
/// The server stays away, or can't be used.
pub(crate) async fn open(url: &DatabaseUrl, access: Access) -> anyhow::Result<DatabaseConnection> {
    warn_of_ignored(url);
    close_file(url);
    let connecting = |max_wait| weir_database::connect(url, access, max_wait);
    let opened = match connecting(Duration::ZERO).await {
        Err(fault) if fault.kind == FaultKind::Unavailable => {
            warn_or_print(&format!("{fault}; trying again for {} s", TOOL_PATIENCE.as_secs()));
            connecting(TOOL_PATIENCE).await
        }
        opened => opened,
    };
    opened.context(CONTEXT)
}

/// [`open`], for a tool that needs the schema with `rights`.
///
/// # Errors
/// As of [`open`]; also if a table, a migration or a right is missing.
pub(crate) async fn open_with(
    url: &DatabaseUrl,
    access: Access,
    rights: Rights,
) -> anyhow::Result<DatabaseConnection> {
    let store = open(url, access).await?;
    weir_database::check(&store, rights).await.context("can't use the store")?;
    Ok(store)
}

/// Applies missing migrations, and returns the names of those that only a newer build knows.
///
/// # Errors
/// This user has no right to migrate, or a migration fails.
pub(crate) async fn migrate(
    store: &DatabaseConnection,
    url: &DatabaseUrl,
) -> Result<Vec<String>, StoreFault> {
    weir_database::up(store, None).await.map_err(|error| error.into_fault(url))
}

/// Retries until the store is usable. The wait for the schema has no limit, because its owner may take hours.
/// A server that is away or refuses has [`START_TIMEOUT`] at a time.
async fn wait_for(
    url: &DatabaseUrl,
    latches: &[&Latch],
    attempt: impl AsyncFn() -> Result<DatabaseConnection, StoreFault>,
) -> anyhow::Result<DatabaseConnection> {
    warn_of_ignored(url);
    close_file(url);
    info!(store = %url, "connecting to the store");
    let mut waiting = WaitReport::new("database", latches);
    let mut unusable_since = Instant::now();
    let mut retry = Retry::with(Backoff::new(FIRST_PAUSE, LONGEST_PAUSE));
    loop {
        let fault = match attempt().await {
            Ok(store) => {
                info!("connected to the store");
                return Ok(store);
            }
            Err(fault) => fault,
        };
        match fault.kind {
            FaultKind::Schema => unusable_since = Instant::now(),
            FaultKind::Unavailable | FaultKind::Refused if unusable_since.elapsed() < START_TIMEOUT => {}
            FaultKind::Unavailable | FaultKind::Refused | FaultKind::Permanent => {
                return Err(fault).context(CONTEXT);
            }
        }
        waiting.report(&fault.to_string());
        if retry.next_attempt().await.is_err() {
            return Err(fault).context(CONTEXT);
        }
    }
}

/// Closes the file of SQLite to other users. SQLite gives the files beside it the same rights.
fn close_file(url: &DatabaseUrl) {
    if let Some(file) = url.file_path() {
        private_files::close_database(file);
    }
}

/// Names the parameters only, because the values may be secrets.
fn warn_of_ignored(url: &DatabaseUrl) {
    for name in url.ignored_parameters() {
        warn_or_print(&format!("DATABASE_URL: the parameter {name} is not supported, and is ignored"));
    }
}

/// Warns in the log, or on standard error if there is no log.
fn warn_or_print(text: &str) {
    if tracing::dispatcher::has_been_set() {
        warn!("{text}");
    } else {
        eprint_line(format_args!("weir: {text}"));
    }
}
