//! `weir journal`: the wanted and found settings of a journal on NATS, and its lost frames.

use std::{process::ExitCode, time::Duration};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use weir_collectors::store::Store;
use weir_database::Access;
use weir_event::Source;
use weir_journal::{JournalCheckpoint, JournalSetting, Observer, SettingState};
use weir_process::{args::ConfigErrors, exit_code};

use crate::{
    exit::{CommandResult, configured},
    output::{print_json, print_line, print_table, table},
    storage::{FolderArgs, JournalArgs, JournalLocation, JournalUrlArgs, StoreArgs, StoreLocation, store},
};

/// How long the server may be away. An operator waits for this command.
const START_TIMEOUT: Duration = Duration::from_secs(3);

#[derive(Debug, Subcommand)]
pub(crate) enum JournalCommand {
    /// Show every wanted and found setting of streams and consumers on NATS, and the lost frames; exit code 0
    /// if nothing differs and nothing is lost, else 1.
    Status(SettingsArgs),
    /// Do the work of an ingest start on NATS: create missing streams and consumers, adopt those of an
    /// earlier build, and raise settings that are too low.
    Apply {
        /// Also lower settings that are higher than wanted: bytes, ages, copies, the acknowledgement
        /// deadline.
        #[arg(long)]
        shrink: bool,
        #[command(flatten)]
        settings: SettingsArgs,
    },
    /// Acknowledge lost frames: weir_frames_lost is 0 from then on.
    ForgetLost(ForgetArgs),
}

/// The same settings as those of ingest.
#[derive(Debug, Args)]
pub(crate) struct SettingsArgs {
    #[command(flatten)]
    journal: JournalArgs,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// The same settings as those of the deployment.
#[derive(Debug, Args)]
pub(crate) struct ForgetArgs {
    #[command(flatten)]
    journal: JournalUrlArgs,
    #[command(flatten)]
    store: StoreArgs,
    #[command(flatten)]
    folder: FolderArgs,
}

pub(crate) async fn run(command: JournalCommand) -> CommandResult {
    match command {
        JournalCommand::Status(args) => status(&args).await,
        JournalCommand::Apply { shrink, settings } => apply(&settings, shrink).await,
        JournalCommand::ForgetLost(args) => forget_lost(&args).await,
    }
}

impl SettingsArgs {
    /// Observes the journal like an ingest with these settings.
    async fn observer(&self) -> Result<Observer, crate::exit::CommandError> {
        let mut errors = ConfigErrors::default();
        let place = self.journal.require(&mut errors);
        let place = configured(place, errors)?;
        Ok(place.observe(START_TIMEOUT).await.context("can't look at the journal (NATS_URL)")?)
    }
}

async fn status(args: &SettingsArgs) -> CommandResult {
    let journal = args.observer().await?;
    let settings = journal.settings().await.context("can't read the journal's settings")?;
    // Before the first start of ingest no frame can be lost.
    let states = journal.checkpoints().await.unwrap_or_default();
    if args.json {
        print_json(shown_as_json(&settings, &states));
    } else {
        show(&settings);
        show_lost(&states);
    }
    let differs = settings.iter().any(|found| found.state != SettingState::Same)
        || Source::ALL.iter().any(|source| lost_of(&states, *source) > 0);
    Ok(if differs { ExitCode::from(exit_code::FAILED) } else { ExitCode::SUCCESS })
}

async fn apply(args: &SettingsArgs, shrink: bool) -> CommandResult {
    let journal = args.observer().await?;
    let found = journal.apply(shrink).await.context("can't change the journal's settings")?;
    if args.json {
        let states = journal.checkpoints().await.unwrap_or_default();
        let settings = journal.settings().await.context("can't read the journal's settings")?;
        print_json(shown_as_json(&settings, &states));
        return Ok(ExitCode::SUCCESS);
    }
    for setting in &found {
        let JournalSetting { place, setting: name, wanted, found, state, .. } = setting;
        match state {
            SettingState::Same | SettingState::Foreign => {}
            SettingState::Shrinks if !shrink => {
                print_line(format_args!(
                    "{place}: {name} stays {found}, and {wanted} is wanted (--shrink lowers it)"
                ));
            }
            SettingState::Paused => {
                print_line(format_args!("{place}: {name} stays {found} (nats consumer resume ends it)"));
            }
            SettingState::Shrinks | SettingState::Changes => {
                print_line(format_args!("{place}: {name} was {found} and is {wanted}"));
            }
        }
    }
    if found.iter().all(|setting| setting.state == SettingState::Same) {
        print_line("nothing had to be changed");
    }
    Ok(ExitCode::SUCCESS)
}

fn show(settings: &[JournalSetting]) {
    let (foreign, own): (Vec<_>, Vec<_>) =
        settings.iter().partition(|setting| setting.state == SettingState::Foreign);
    let rows = own.into_iter().map(|setting| {
        let JournalSetting { place, setting, variable, wanted, found, state } = setting;
        let does = match state {
            SettingState::Same => "",
            SettingState::Changes => "changes it",
            SettingState::Shrinks | SettingState::Paused | SettingState::Foreign => "keeps it",
        };
        let variable = variable.unwrap_or_default();
        [
            place.clone(),
            (*setting).to_owned(),
            variable.to_owned(),
            wanted.clone(),
            found.clone(),
            does.to_owned(),
        ]
    });
    print_table(&table(["what", "setting", "variable", "wanted", "found", "ingest"], 0, rows));
    for setting in foreign {
        print_line(setting);
    }
    if settings.iter().any(|setting| setting.state == SettingState::Shrinks) {
        print_line("Nothing shrinks by itself: `weir journal apply --shrink` lowers what ingest keeps.");
    }
}

fn lost_of(states: &[JournalCheckpoint], source: Source) -> u64 {
    states.iter().map(|state| state.of(source).lost).sum()
}

fn show_lost(states: &[JournalCheckpoint]) {
    for &source in Source::ALL {
        let lost = lost_of(states, source);
        if lost > 0 {
            print_line(format_args!(
                "{source}: {lost} accepted frames can't come any more (weir journal forget-lost)"
            ));
        }
    }
}

fn shown_as_json(settings: &[JournalSetting], states: &[JournalCheckpoint]) -> Value {
    let settings = settings.iter().map(|setting| {
        let JournalSetting { place, setting, variable, wanted, found, state } = setting;
        let state = match state {
            SettingState::Same => "same",
            SettingState::Changes => "changes",
            SettingState::Shrinks => "kept",
            SettingState::Paused => "paused",
            SettingState::Foreign => "foreign",
        };
        json!({"place": place, "setting": setting, "variable": variable, "wanted": wanted, "found": found, "state": state})
    });
    let lost = Source::ALL.iter().map(|source| (source.name().to_owned(), lost_of(states, *source).into()));
    json!({"settings": settings.collect::<Vec<_>>(), "framesLost": lost.collect::<serde_json::Map<_, _>>()})
}

/// On a server collectors copy the losses into the store; on files only the store has them.
async fn forget_lost(args: &ForgetArgs) -> CommandResult {
    let mut errors = ConfigErrors::default();
    let (journal, store) = (args.journal.check(&mut errors), args.store.check(&mut errors));
    let (journal, store): (JournalLocation, StoreLocation) = configured(journal.zip(store), errors)?;
    let mut lost = 0;
    if let Some(servers) = &journal.servers {
        let observer = Observer::connect(servers, journal.settings(), START_TIMEOUT).await;
        let observer = observer.context("can't look at the journal (NATS_URL)")?;
        lost = observer.reset_losses().await.context("can't change what is noted of the journal")?;
    }
    if journal.servers.is_none() || !store.in_folder() {
        let opened = store::open(&store.url(&args.folder.weir_data_dir), Access::Read).await?;
        opened.close().await.context("can't close the store")?;
        let database = store::open(&store.url(&args.folder.weir_data_dir), Access::Write).await?;
        lost = lost.max(Store::new(&database).forget_losses().await?);
    }
    print_line(format_args!("{lost} lost frames are acknowledged"));
    Ok(ExitCode::SUCCESS)
}
