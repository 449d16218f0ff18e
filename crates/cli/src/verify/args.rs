//! The arguments of `weir verify`.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use clap::Args;
use weir_database::DatabaseUrl;
use weir_journal::Observer;
use weir_process::args::{ConfigErrors, Misconfigured};

use crate::{
    exit::configured,
    storage::{FolderArgs, JournalLocation, JournalUrlArgs, StoreArgs, StoreLocation},
    units,
};

/// How long the server of a journal may be away. An operator waits for this command.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// The ledger and the deployment, with the same settings as the deployment's. Only reads, and may run beside
/// a `weir up` on files.
#[derive(Debug, Args)]
#[command(next_help_heading = "Verifying")]
pub(crate) struct VerifyArgs {
    /// The file that `weir publish --ledger` wrote.
    #[arg(long, value_name = "FILE")]
    pub(super) ledger: PathBuf,
    /// How long collectors may take to store the frames in the journal: 500ms, 60s, 5m or 1h.
    #[arg(long, default_value = "60s", value_name = "DURATION")]
    wait: String,
    #[command(flatten)]
    journal: JournalUrlArgs,
    #[command(flatten)]
    store: StoreArgs,
    #[command(flatten)]
    folder: FolderArgs,
}

/// The checked arguments.
pub(super) struct VerifyOptions {
    pub(super) deployment: Deployment,
    pub(super) wait: Duration,
}

/// The journal and the store of the deployment.
pub(super) struct Deployment {
    /// Without servers the journal is in the folder.
    journal: JournalLocation,
    store: StoreLocation,
    folder: PathBuf,
}

impl VerifyArgs {
    pub(super) fn check(&self) -> Result<VerifyOptions, Misconfigured> {
        let mut errors = ConfigErrors::default();
        let wait = errors.check("--wait", units::duration(&self.wait));
        let journal = self.journal.check(&mut errors);
        let store = self.store.check(&mut errors);
        let folder = self.folder.weir_data_dir.clone();
        let task = || {
            Some(VerifyOptions {
                deployment: Deployment { journal: journal?, store: store?, folder },
                wait: wait?,
            })
        };
        configured(task(), errors)
    }
}

impl Deployment {
    pub(super) async fn journal(&self) -> anyhow::Result<Observer> {
        match &self.journal.servers {
            Some(servers) => Observer::connect(servers, self.journal.settings(), CONNECT_TIMEOUT)
                .await
                .context("can't look at the journal (NATS_URL)"),
            None => {
                let folder: &Path = &self.folder;
                let opened = Observer::open(folder).await;
                opened.context("can't look at the journal on files (WEIR_DATA_DIR, or set NATS_URL)")
            }
        }
    }

    pub(super) fn store(&self) -> DatabaseUrl {
        self.store.url(&self.folder)
    }
}
