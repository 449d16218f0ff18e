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
    storage::{FolderArgs, StoreArgs, StoreLocation},
    units,
};

/// A reader would not read more, and all of them stay in memory until the end.
const MAX_SHOWN: u64 = 100_000;

/// The period and the store, with the same settings as the deployment's. May run beside collectors, and
/// beside a `weir up` on files.
#[derive(Debug, Args)]
#[command(next_help_heading = "Reconciling")]
pub(crate) struct ReconcileArgs {
    /// Compare minutes, hours and days (UTC) that end after this time: RFC 3339, or a date (UTC). By default
    /// from the first event.
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Compare minutes, hours and days that begin before this time: RFC 3339, or a date (UTC). By default to
    /// the last event.
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// facebook or tiktok; by default both.
    #[arg(long, value_name = "SOURCE")]
    source: Option<String>,
    /// Correct the differences, and compare again.
    #[arg(long)]
    repair: bool,
    /// The largest number of differences to show, 0 to 100000; all are counted.
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

/// The format of the findings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Table,
    Json,
}

/// The checked arguments.
#[derive(Debug)]
pub(super) struct ReconcileOptions {
    pub(super) period: Period,
    pub(super) sources: Vec<Source>,
    pub(super) repair: bool,
    /// The largest number of differences to show.
    pub(super) shown: usize,
    pub(super) format: Format,
    store: StoreLocation,
    folder: PathBuf,
}

impl ReconcileArgs {
    pub(super) fn check(&self) -> Result<ReconcileOptions, Misconfigured> {
        let mut errors = ConfigErrors::default();
        let period = self.period(&mut errors);
        let source = errors.check("--source", filter::source(self.source.as_deref()));
        let shown = errors.check("--limit", limit(&self.limit));
        let format = errors.check("--format", format(&self.format));
        let store = self.store.check(&mut errors);
        let options = || {
            let source = source?;
            let is_asked = |known: &Source| source == 0 || known.number() == source;
            Some(ReconcileOptions {
                period: period?,
                sources: Source::ALL.iter().copied().filter(is_asked).collect(),
                repair: self.repair,
                shown: shown?,
                format: format?,
                store: store?,
                folder: self.folder.weir_data_dir.clone(),
            })
        };
        configured(options(), errors)
    }

    fn period(&self, errors: &mut ConfigErrors) -> Option<Period> {
        let Range { from, to } = filter::range(self.from.as_deref(), self.to.as_deref(), errors)?;
        let (from, to) = (from.map(micros), to.map(micros));
        // Equal ends enclose nothing, and a comparison of nothing proves nothing.
        if from.zip(to).is_some_and(|(from, to)| from >= to) {
            errors.add("--to: must be after --from");
        }
        Some(Period { from, to })
    }
}

impl ReconcileOptions {
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
    if number > MAX_SHOWN {
        return Err(format!("{number} is over {MAX_SHOWN}"));
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
