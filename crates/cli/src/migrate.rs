//! `weir migrate`: applies and reverts migrations of the store, and lists them.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use sea_orm::DatabaseConnection;
use weir_database::{Access, DatabaseUrl, MigrationState};
use weir_process::args::{ConfigErrors, Misconfigured};

use crate::{
    exit::{CommandResult, configured},
    output::{print_line, print_table, table},
    storage::{DataFolder, FolderArgs, StoreArgs, StoreLocation, store},
};

#[derive(Debug, Args)]
pub(crate) struct MigrateArgs {
    /// The action.
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Apply every migration that is missing.
    Up(StoreLocationArgs),
    /// Revert the last migrations, WITH EVERYTHING IN THEIR TABLES.
    Down {
        /// The number of migrations to revert.
        #[arg(long, default_value = "1", value_name = "NUMBER")]
        steps: String,
        #[command(flatten)]
        place: StoreLocationArgs,
    },
    /// List the migrations and their state. Changes nothing.
    Status(StoreLocationArgs),
}

/// The location of the store: the named database, or the file in the data folder.
#[derive(Debug, Args)]
struct StoreLocationArgs {
    #[command(flatten)]
    store: StoreArgs,
    #[command(flatten)]
    folder: FolderArgs,
}

impl StoreLocationArgs {
    fn check(&self) -> Result<StoreLocation, Misconfigured> {
        let mut errors = ConfigErrors::default();
        configured(self.store.check(&mut errors), errors)
    }

    /// The URL of the store. Locks the data folder if the store is in it.
    fn lock(&self, place: StoreLocation) -> anyhow::Result<(DatabaseUrl, Option<DataFolder>)> {
        match place {
            StoreLocation::Database(url) => Ok((*url, None)),
            StoreLocation::Folder => {
                let folder = DataFolder::lock(&self.folder.weir_data_dir)?;
                Ok((store::in_folder(folder.path()), Some(folder)))
            }
        }
    }
}

pub(crate) async fn run(args: MigrateArgs) -> CommandResult {
    match args.action {
        Action::Up(place) => up(&place).await,
        Action::Down { steps, place } => down(&steps, &place).await,
        Action::Status(place) => status(&place).await,
    }
}

async fn up(place: &StoreLocationArgs) -> CommandResult {
    let (url, _folder) = place.lock(place.check()?)?;
    let store = store::open(&url, Access::Write).await?;
    store::migrate(&store, &url).await.context("can't migrate")?;
    show(&store).await
}

async fn down(steps: &str, place: &StoreLocationArgs) -> CommandResult {
    let mut errors = ConfigErrors::default();
    let number = steps.parse().ok().filter(|steps| *steps > 0);
    let number = errors.check("--steps", number.ok_or_else(|| format!("'{steps}' is no number over 0")));
    let chosen = place.store.check(&mut errors);
    let (number, chosen) = configured(number.zip(chosen), errors)?;
    let (url, _folder) = place.lock(chosen)?;
    let store = store::open(&url, Access::Write).await?;
    weir_database::down(&store, number).await.context("can't take migrations back")?;
    show(&store).await
}

/// Locks nothing, so that it works beside a running process.
async fn status(place: &StoreLocationArgs) -> CommandResult {
    let url = match place.check()? {
        StoreLocation::Database(url) => *url,
        StoreLocation::Folder => store::in_folder(&place.folder.weir_data_dir),
    };
    show(&store::open(&url, Access::Read).await?).await
}

async fn show(store: &DatabaseConnection) -> CommandResult {
    let steps = weir_database::status(store).await.context("can't read the migrations")?;
    print_table(&table(
        ["migration", "state"],
        0,
        steps.into_iter().map(|step| [step.name.clone(), state(&step).to_owned()]),
    ));
    let oldest = weir_database::oldest_writer_if_named(store).await.context("can't read the migrations")?;
    let refused = weir_database::check_writer(oldest.as_deref()).err();
    if let Some(oldest) = oldest {
        let verdict = refused.map_or("this one may".to_owned(), |refused| refused.to_string());
        print_line(format_args!("builds that know {oldest} may write; {verdict}"));
    }
    Ok(ExitCode::SUCCESS)
}

fn state(step: &MigrationState) -> &'static str {
    match (step.applied, step.known) {
        (true, true) => "applied",
        (true, false) => "applied by another build, unknown to this one",
        (false, _) => "missing",
    }
}
