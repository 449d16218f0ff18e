//! The arguments of `weir reconcile`.

use std::path::PathBuf;

use clap::Args;
use prost_types::Timestamp;
use weir_collectors::reconcile::Period;
use weir_database::DatabaseUrl;
use weir_event::Source;
use weir_process::args::{ConfigErrors, Misconfigured};

use crate::{
    exit::configured,
    report::filter::{self, Range},
    storage::{FolderArgs, StoreArgs, StorePlace},
    units,
};

/// More would not be read, and has to be kept until the end.
const MOST_NAMED: u64 = 100_000;

/// Which period, and of which store: the same settings as the deployment's. May run beside collectors, and beside a
/// `weir up` on files.
#[derive(Debug, Args)]
#[command(next_help_heading = "Reconciling")]
pub(crate) struct ReconcileArgs {
    /// Minutes, hours and days (UTC) that end after this time: RFC 3339, or a date (UTC). By default from the first
    /// event.
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Minutes, hours and days that begin before this time: RFC 3339, or a date (UTC). By default to the last event.
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// facebook or tiktok; by default both.
    #[arg(long, value_name = "SOURCE")]
    source: Option<String>,
    /// Set right what differs, and compare again.
    #[arg(long)]
    repair: bool,
    /// At most so many differences are named, 0 to 100000; all are counted.
    #[arg(long, default_value = "100", value_name = "NUMBER")]
    limit: String,
    /// table or json.
    #[arg(long, default_value = "table", value_name = "FORMAT")]
    format: String,
    #[command(flatten)]
    store: StoreArgs,
    #[command(flatten)]
    folder: FolderArgs,
}

/// How the findings are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Table,
    Json,
}

/// What is to be done, checked.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) period: Period,
    pub(super) sources: Vec<Source>,
    pub(super) repair: bool,
    /// At most so many differences are named.
    pub(super) named: usize,
    pub(super) format: Format,
    store: StorePlace,
    folder: PathBuf,
}

impl ReconcileArgs {
    pub(super) fn check(&self) -> Result<Task, Misconfigured> {
        let mut mistakes = ConfigErrors::default();
        let period = self.period(&mut mistakes);
        let source = mistakes.check("--source", filter::source(self.source.as_deref()));
        let named = mistakes.check("--limit", limit(&self.limit));
        let format = mistakes.check("--format", format(&self.format));
        let store = self.store.check(&mut mistakes);
        let task = || {
            let source = source?;
            let is_asked = |known: &Source| source == 0 || known.number() == source;
            Some(Task {
                period: period?,
                sources: Source::ALL.iter().copied().filter(is_asked).collect(),
                repair: self.repair,
                named: named?,
                format: format?,
                store: store?,
                folder: self.folder.weir_data_dir.clone(),
            })
        };
        configured(task(), mistakes)
    }

    fn period(&self, mistakes: &mut ConfigErrors) -> Option<Period> {
        let Range { from, to } = filter::range(self.from.as_deref(), self.to.as_deref(), mistakes)?;
        let (from, to) = (from.map(micros), to.map(micros));
        // Nothing lies between equal ends: a comparison of nothing proves nothing.
        if from.zip(to).is_some_and(|(from, to)| from >= to) {
            mistakes.add("--to: must be after --from");
        }
        Some(Period { from, to })
    }
}

impl Task {
    pub(super) fn store(&self) -> DatabaseUrl {
        self.store.url(&self.folder)
    }
}

/// µs since the Unix epoch, rounded up: events have no finer time.
fn micros(time: Timestamp) -> i64 {
    time.seconds * 1_000_000 + (i64::from(time.nanos) + 999) / 1_000
}

fn limit(text: &str) -> Result<usize, String> {
    let number = units::at_least(0, text)?;
    if number > MOST_NAMED {
        return Err(format!("{number} is over {MOST_NAMED}"));
    }
    usize::try_from(number).map_err(|error| error.to_string())
}

fn format(text: &str) -> Result<Format, String> {
    match text {
        "table" => Ok(Format::Table),
        "json" => Ok(Format::Json),
        other => Err(format!("'{other}' is none of table, json")),
    }
}
