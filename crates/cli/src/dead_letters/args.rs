//! The arguments of `weir dead-letters`.

use clap::Args;
use weir::contract::ingest::v1::{DeadLetterFilter, Graveyard};
use weir_process::args::ConfigErrors;

use crate::report::filter::{self, Range};

/// A filter of dead letters; an omitted option matches every letter.
#[derive(Debug, Args)]
#[command(next_help_heading = "Filters")]
pub(super) struct FilterArgs {
    /// rejected (the gate refused the item) or parked (the database refused the event).
    #[arg(long, value_name = "GRAVEYARD")]
    graveyard: Option<String>,
    /// facebook, tiktok, or unknown (the item names no known source).
    #[arg(long, value_name = "SOURCE")]
    source: Option<String>,
    /// Part of the reason, such as /timestamp.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Letters written at this time or later: RFC 3339, or a date (UTC).
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Letters written before this time: RFC 3339, or a date (UTC).
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// The fingerprint of a group or of a letter.
    #[arg(long, value_name = "FINGERPRINT")]
    fingerprint: Option<String>,
}

/// A selection of letters, by id or by filter.
#[derive(Debug, Args)]
pub(super) struct SelectionArgs {
    /// Ids such as rejected-17; without ids a filter selects the letters.
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    /// Select every dead letter; only without a filter.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    filter: FilterArgs,
    /// Show the result for each letter, and change nothing.
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Continue after this cursor, which an interrupted run printed.
    #[arg(long, value_name = "CURSOR")]
    pub(super) cursor: Option<String>,
}

/// The selected letters. Either the ids or the filter is empty.
#[derive(Debug, Default)]
pub(super) struct Selection {
    pub(super) ids: Vec<String>,
    pub(super) filter: Option<DeadLetterFilter>,
}

impl FilterArgs {
    pub(super) fn check(&self, errors: &mut ConfigErrors) -> Option<DeadLetterFilter> {
        let graveyard = errors.check("--graveyard", graveyard(self.graveyard.as_deref()));
        let (source, unknown_source) = errors.check("--source", source(self.source.as_deref())).unzip();
        let range = filter::range(self.from.as_deref(), self.to.as_deref(), errors);
        let Range { from, to } = range?;
        Some(DeadLetterFilter {
            graveyard: graveyard?,
            source: source?,
            reason: self.reason.clone().unwrap_or_default(),
            from,
            to,
            fingerprint: self.fingerprint.clone().unwrap_or_default(),
            unknown_source: unknown_source?,
        })
    }
}

impl SelectionArgs {
    pub(super) fn check(&self, errors: &mut ConfigErrors) -> Option<Selection> {
        let filter = self.filter.check(errors)?;
        let is_filtered = filter != DeadLetterFilter::default();
        match (self.ids.is_empty(), is_filtered || self.all) {
            (false, false) => Some(Selection { ids: self.ids.clone(), filter: None }),
            (true, true) => Some(Selection { ids: Vec::new(), filter: Some(filter) }),
            (true, false) => {
                errors.add("name dead letters by id, by a filter, or all of them with --all");
                None
            }
            (false, true) => {
                errors.add("dead letters are named by id or by a filter, not both");
                None
            }
        }
    }
}

/// The number of a source, and true if letters without a source are meant.
fn source(name: Option<&str>) -> Result<(i32, bool), String> {
    match name {
        Some("unknown") => Ok((0, true)),
        name => filter::source(name)
            .map(|number| (number, false))
            .map_err(|message| format!("{message}, unknown")),
    }
}

fn graveyard(name: Option<&str>) -> Result<i32, String> {
    match name {
        None => Ok(0),
        Some("rejected") => Ok(Graveyard::Rejected.into()),
        Some("parked") => Ok(Graveyard::Parked.into()),
        Some(other) => Err(format!("'{other}' is none of rejected, parked")),
    }
}
