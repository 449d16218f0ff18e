//! `weir migrate`: brings the store's tables up to date, takes them back, or says what is there.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use sea_orm::DatabaseConnection;
use weir_database::{Access, DatabaseUrl, MigrationState};
use weir_process::args::{ConfigErrors, Misconfigured};

use crate::{
    failure::{Outcome, configured},
    output::{say, table},
    place::{DataFolder, FolderArgs, StoreArgs, StorePlace, store},
};

#[derive(Debug, Args)]
pub(crate) struct MigrateArgs {
    /// What to do.
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Apply every migration that is missing.
    Up(WhereArgs),
    /// Take the last migrations back, WITH EVERYTHING IN THEIR TABLES.
    Down {
        /// How many.
        #[arg(long, default_value = "1", value_name = "NUMBER")]
        steps: String,
        #[command(flatten)]
        place: WhereArgs,
    },
    /// List the migrations, and whether they are applied. Changes nothing.
    Status(WhereArgs),
}

/// The store is the database that is named, else the file in the data folder.
#[derive(Debug, Args)]
struct WhereArgs {
    #[command(flatten)]
    store: StoreArgs,
    #[command(flatten)]
    folder: FolderArgs,
}

impl WhereArgs {
    fn check(&self) -> Result<StorePlace, Misconfigured> {
        let mut mistakes = ConfigErrors::default();
        configured(self.store.check(&mut mistakes), mistakes)
    }

    /// Where the store is, with the data folder taken where it is in there.
    fn take(&self, place: StorePlace) -> anyhow::Result<(DatabaseUrl, Option<DataFolder>)> {
        match place {
            StorePlace::Database(url) => Ok((*url, None)),
            StorePlace::Folder => {
                let folder = DataFolder::take(&self.folder.weir_data_dir)?;
                Ok((store::in_folder(folder.path()), Some(folder)))
            }
        }
    }
}

pub(crate) async fn run(args: MigrateArgs) -> Outcome {
    match args.action {
        Action::Up(place) => up(&place).await,
        Action::Down { steps, place } => down(&steps, &place).await,
        Action::Status(place) => status(&place).await,
    }
}

async fn up(place: &WhereArgs) -> Outcome {
    let (url, _folder) = place.take(place.check()?)?;
    let store = store::open(&url, Access::Write).await?;
    store::migrate(&store, &url).await.context("can't migrate")?;
    show(&store).await
}

async fn down(steps: &str, place: &WhereArgs) -> Outcome {
    let mut mistakes = ConfigErrors::default();
    let number = steps.parse().ok().filter(|steps| *steps > 0);
    let number = mistakes.check("--steps", number.ok_or_else(|| format!("'{steps}' is no number over 0")));
    let chosen = place.store.check(&mut mistakes);
    let (number, chosen) = configured(number.zip(chosen), mistakes)?;
    let (url, _folder) = place.take(chosen)?;
    let store = store::open(&url, Access::Write).await?;
    weir_database::down(&store, number).await.context("can't take migrations back")?;
    show(&store).await
}

/// Takes nothing: a running process may be asked about.
async fn status(place: &WhereArgs) -> Outcome {
    let url = match place.check()? {
        StorePlace::Database(url) => *url,
        StorePlace::Folder => store::in_folder(&place.folder.weir_data_dir),
    };
    show(&store::open(&url, Access::Read).await?).await
}

async fn show(store: &DatabaseConnection) -> Outcome {
    let steps = weir_database::status(store).await.context("can't read the migrations")?;
    say(table(
        ["migration", "state"],
        0,
        steps.into_iter().map(|step| [step.name.clone(), state(&step).to_owned()]),
    ));
    let oldest = weir_database::oldest_writer_if_named(store).await.context("can't read the migrations")?;
    let refused = weir_database::check_writer(oldest.as_deref()).err();
    if let Some(oldest) = oldest {
        let verdict = refused.map_or("this one may".to_owned(), |refused| refused.to_string());
        say(format_args!("builds that know {oldest} may write; {verdict}"));
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
