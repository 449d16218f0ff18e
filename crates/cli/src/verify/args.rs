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
    storage::{FolderArgs, JournalAddress, JournalUrlArgs, StoreArgs, StorePlace},
    units,
};

/// How long a journal's server may be away: nobody waits for a deployment to start here.
const PATIENCE: Duration = Duration::from_secs(3);

/// Which ledger, and what it is compared with: the same settings as the deployment's. Reads only, and may run beside
/// a `weir up` on files.
#[derive(Debug, Args)]
#[command(next_help_heading = "Verifying")]
pub(crate) struct VerifyArgs {
    /// What `weir publish --ledger` wrote.
    #[arg(long, value_name = "FILE")]
    pub(super) ledger: PathBuf,
    /// How long collectors may take to store what the journal still holds: 500ms, 60s, 5m or 1h.
    #[arg(long, default_value = "60s", value_name = "DURATION")]
    wait: String,
    #[command(flatten)]
    journal: JournalUrlArgs,
    #[command(flatten)]
    store: StoreArgs,
    #[command(flatten)]
    folder: FolderArgs,
}

/// What is to be done, checked.
pub(super) struct Task {
    pub(super) place: Place,
    pub(super) wait: Duration,
}

/// Where the deployment keeps what it was sent.
pub(super) struct Place {
    /// The journal is in the folder, where this is absent.
    journal: JournalAddress,
    store: StorePlace,
    folder: PathBuf,
}

impl VerifyArgs {
    pub(super) fn check(&self) -> Result<Task, Misconfigured> {
        let mut mistakes = ConfigErrors::default();
        let wait = mistakes.check("--wait", units::duration(&self.wait));
        let journal = self.journal.check(&mut mistakes);
        let store = self.store.check(&mut mistakes);
        let folder = self.folder.weir_data_dir.clone();
        let task = || Some(Task { place: Place { journal: journal?, store: store?, folder }, wait: wait? });
        configured(task(), mistakes)
    }
}

impl Place {
    pub(super) async fn journal(&self) -> anyhow::Result<Observer> {
        match &self.journal.servers {
            Some(servers) => Observer::connect(servers, self.journal.settings(), PATIENCE)
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
