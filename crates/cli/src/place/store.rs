//! DATABASE_URL: where the store is.

use std::{
    path::{Path, PathBuf},
    sync::Once,
    time::Duration,
};

use anyhow::Context as _;
use clap::Args;
use sea_orm::DatabaseConnection;
use tokio::time::{Instant, sleep};
use tracing::{error, info, warn};
use weir_database::{Access, DatabaseUrl, FaultKind, Rights, StoreFault};
use weir_process::{Latch, args::ConfigErrors};

use super::patience::PATIENCE;
use crate::output::complain;

/// The store's file in the data folder.
const FILE: &str = "store.sqlite";
const CONTEXT: &str = "can't open the store";
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(500);
/// Where its owner has to bring something, which may take hours.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);
/// How long a tool waits for a server that is away: an operator sits in front of it.
const TOOL_PATIENCE: Duration = Duration::from_secs(3);

/// Where the store is.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Store")]
pub(crate) struct StoreArgs {
    /// The database of stored events, such as postgres://weir@127.0.0.1:5432/weir or sqlite:///var/lib/weir.sqlite.
    /// `up` and `migrate` use a file of the data folder where this is absent, a single role needs it.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    pub(crate) database_url: Option<String>,
    /// A file that holds the URL, instead.
    #[arg(long, env = "DATABASE_URL_FILE", value_name = "FILE")]
    pub(crate) database_url_file: Option<PathBuf>,
}

/// The place that was chosen.
#[derive(Clone, Debug)]
pub(crate) enum StorePlace {
    Database(Box<DatabaseUrl>),
    /// SQLite in the data folder.
    Folder,
}

impl StoreArgs {
    pub(crate) fn check(&self, mistakes: &mut ConfigErrors) -> Option<StorePlace> {
        let (text, file) = (self.database_url.as_deref(), self.database_url_file.as_ref());
        match mistakes.secret("DATABASE_URL", text, file)? {
            None => Some(StorePlace::Folder),
            Some(url) => mistakes.check("DATABASE_URL", url.parse().map(Box::new)).map(StorePlace::Database),
        }
    }

    /// The database, which a single role must be told: another one has to find it.
    pub(crate) fn require(&self, mistakes: &mut ConfigErrors) -> Option<DatabaseUrl> {
        match self.check(mistakes)? {
            StorePlace::Database(url) => Some(*url),
            StorePlace::Folder => {
                mistakes.add("DATABASE_URL: is required, such as postgres://weir@127.0.0.1:5432/weir");
                None
            }
        }
    }
}

impl StorePlace {
    pub(crate) fn in_folder(&self) -> bool {
        matches!(self, Self::Folder)
    }

    /// Where that is, `folder` being the data folder.
    pub(crate) fn url(&self, folder: &Path) -> DatabaseUrl {
        match self {
            Self::Database(url) => *url.clone(),
            Self::Folder => in_folder(folder),
        }
    }
}

/// The store in a data folder.
pub(crate) fn in_folder(folder: &Path) -> DatabaseUrl {
    DatabaseUrl::file(&folder.join(FILE))
}

/// Opens the store for writing, brings it up to date, and sees that this build and this user may write. Waits for what is
/// not there yet, says why in `latches` and once in the log.
///
/// # Errors
/// The server does not come or goes on refusing for [`PATIENCE`]; another configuration is needed.
pub(crate) async fn open_migrated(
    url: &DatabaseUrl,
    latches: &[&Latch],
) -> anyhow::Result<DatabaseConnection> {
    let told = Once::new();
    wait_for(url, latches, async || {
        let store = weir_database::connect(url, Access::Write, Duration::ZERO).await?;
        let newer = migrate(&store, url).await?;
        if !newer.is_empty() {
            let migrations = newer.join(", ");
            told.call_once(|| {
                warn!(migrations, "a newer build has migrated the store, which is used as it is")
            });
        }
        weir_database::check(&store, Rights::Write).await?;
        Ok(store)
    })
    .await
}

/// Opens the store for reports, and changes nothing: waits for the schema as long as it takes, and otherwise as
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
            // Its file is made by whoever makes the tables.
            Err(fault) if url.is_missing_file() => return Err(fault.lacking_schema()),
            opened => opened?,
        };
        weir_database::check(&store, Rights::Read).await?;
        Ok(store)
    })
    .await
}

/// Opens the store for a tool, as it is; a server that is away is waited for a few seconds.
///
/// # Errors
/// The server does not come, or can't be used.
pub(crate) async fn open(url: &DatabaseUrl, access: Access) -> anyhow::Result<DatabaseConnection> {
    warn_of_ignored(url);
    let connecting = |patience| weir_database::connect(url, access, patience);
    let opened = match connecting(Duration::ZERO).await {
        Err(fault) if fault.kind == FaultKind::Unavailable => {
            tell(&format!("{fault}; trying again for {} s", TOOL_PATIENCE.as_secs()));
            connecting(TOOL_PATIENCE).await
        }
        opened => opened,
    };
    opened.context(CONTEXT)
}

/// [`open`], where the tool needs the schema with `rights`.
///
/// # Errors
/// As of [`open`], and where a table, a migration or a right is missing.
pub(crate) async fn open_with(
    url: &DatabaseUrl,
    access: Access,
    rights: Rights,
) -> anyhow::Result<DatabaseConnection> {
    let store = open(url, access).await?;
    weir_database::check(&store, rights).await.context("can't use the store")?;
    Ok(store)
}

/// Applies what is missing, and returns the names of migrations that only a newer build knows.
///
/// # Errors
/// This user may not, or it does not go through.
pub(crate) async fn migrate(
    store: &DatabaseConnection,
    url: &DatabaseUrl,
) -> Result<Vec<String>, StoreFault> {
    weir_database::up(store, None).await.map_err(|error| error.into_fault(url))
}

/// Tries until the store can be used. What its owner has to bring is waited for without a limit; a server that is away,
/// or refuses, at most for [`PATIENCE`] at a time.
async fn wait_for(
    url: &DatabaseUrl,
    latches: &[&Latch],
    attempt: impl AsyncFn() -> Result<DatabaseConnection, StoreFault>,
) -> anyhow::Result<DatabaseConnection> {
    warn_of_ignored(url);
    info!(store = %url, "connecting to the store");
    let mut told = String::new();
    let mut without = Instant::now();
    loop {
        let fault = match attempt().await {
            Ok(store) => {
                info!("connected to the store");
                return Ok(store);
            }
            Err(fault) => fault,
        };
        match fault.kind {
            FaultKind::Schema => without = Instant::now(),
            FaultKind::Unavailable | FaultKind::Refused if without.elapsed() < PATIENCE => {}
            FaultKind::Unavailable | FaultKind::Refused | FaultKind::Permanent => {
                return Err(fault).context(CONTEXT);
            }
        }
        let reason = fault.to_string();
        latches.iter().for_each(|latch| latch.set(Err(reason.clone())));
        if told != reason {
            error!(reason, "the role waits for its database");
            told = reason;
        }
        let pause = if fault.kind == FaultKind::Schema { BETWEEN_LOOKS } else { BETWEEN_ATTEMPTS };
        sleep(pause).await;
    }
}

/// The values may be secrets.
fn warn_of_ignored(url: &DatabaseUrl) {
    for name in url.ignored_parameters() {
        tell(&format!("DATABASE_URL: the parameter {name} is not supported, and is ignored"));
    }
}

/// As a log entry where logs are written.
fn tell(text: &str) {
    if tracing::dispatcher::has_been_set() {
        warn!("{text}");
    } else {
        complain(format_args!("weir: {text}"));
    }
}
