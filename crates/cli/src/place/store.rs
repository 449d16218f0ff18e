//! DATABASE_URL: where the store is.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use sea_orm::DatabaseConnection;
use tracing::info;
use weir::process::args::Mistakes;
use weir_migration::{Access, DatabaseUrl};

use super::patience::{PATIENCE, patiently};

/// The store's file in the data folder.
const FILE: &str = "store.sqlite";

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
    pub(crate) fn check(&self, mistakes: &mut Mistakes) -> Option<StorePlace> {
        let (text, file) = (self.database_url.as_deref(), self.database_url_file.as_ref());
        match mistakes.secret("DATABASE_URL", text, file)? {
            None => Some(StorePlace::Folder),
            Some(url) => mistakes.check("DATABASE_URL", url.parse().map(Box::new)).map(StorePlace::Database),
        }
    }

    /// The database, which a single role must be told: another one has to find it.
    pub(crate) fn require(&self, mistakes: &mut Mistakes) -> Option<DatabaseUrl> {
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

/// Opens the store for writing, and brings it up to date; waits for a server that is not there yet.
///
/// # Errors
/// The server does not come, or can't be used; a migration does not go through.
pub(crate) async fn open_migrated(url: &DatabaseUrl) -> anyhow::Result<DatabaseConnection> {
    let store = open(url, Access::Write).await?;
    weir_migration::up(&store, None).await.with_context(|| format!("can't bring the {url} up to date"))?;
    Ok(store)
}

/// Opens the store as it is; waits for a server that is not there yet.
///
/// # Errors
/// The server does not come, or can't be used.
pub(crate) async fn open(url: &DatabaseUrl, access: Access) -> anyhow::Result<DatabaseConnection> {
    info!(store = %url, "connecting to the store");
    let connecting = weir_migration::connect(url, access, PATIENCE);
    patiently("store", connecting).await.context("can't open the store (DATABASE_URL)")
}
