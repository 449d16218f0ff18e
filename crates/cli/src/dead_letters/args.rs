//! The arguments of `weir dead-letters`.

use clap::Args;
use weir::contract::ingest::v1::{DeadLetterFilter, Graveyard};
use weir_process::args::ConfigErrors;

use crate::report::filter::{self, Range};

/// Which dead letters; what is left out matches every letter.
#[derive(Debug, Args)]
#[command(next_help_heading = "Filters")]
pub(super) struct FilterArgs {
    /// rejected (the gate refused the item) or parked (the database refused the event).
    #[arg(long, value_name = "GRAVEYARD")]
    graveyard: Option<String>,
    /// facebook, tiktok, or unknown (the item names no source that exists).
    #[arg(long, value_name = "SOURCE")]
    source: Option<String>,
    /// Part of the reason, such as /timestamp.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Laid down at this time or later: RFC 3339, or a date (UTC).
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Laid down before this time: RFC 3339, or a date (UTC).
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// The fingerprint of a group or of a letter.
    #[arg(long, value_name = "FINGERPRINT")]
    fingerprint: Option<String>,
}

/// Letters by id, or by filter.
#[derive(Debug, Args)]
pub(super) struct SelectionArgs {
    /// Such as rejected-17; without ids a filter chooses.
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    /// Every dead letter, where no filter is given.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    filter: FilterArgs,
    /// Say what would happen to each, and change nothing.
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Go on after this cursor, which a run that broke off has told.
    #[arg(long, value_name = "CURSOR")]
    pub(super) cursor: Option<String>,
}

/// The letters that are meant: one of them is empty.
#[derive(Debug, Default)]
pub(super) struct Selection {
    pub(super) ids: Vec<String>,
    pub(super) filter: Option<DeadLetterFilter>,
}

impl FilterArgs {
    pub(super) fn check(&self, mistakes: &mut ConfigErrors) -> Option<DeadLetterFilter> {
        let graveyard = mistakes.check("--graveyard", graveyard(self.graveyard.as_deref()));
        let (source, unknown_source) = mistakes.check("--source", source(self.source.as_deref())).unzip();
        let range = filter::range(self.from.as_deref(), self.to.as_deref(), mistakes);
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
    pub(super) fn check(&self, mistakes: &mut ConfigErrors) -> Option<Selection> {
        let filter = self.filter.check(mistakes)?;
        let is_filtered = filter != DeadLetterFilter::default();
        match (self.ids.is_empty(), is_filtered || self.all) {
            (false, false) => Some(Selection { ids: self.ids.clone(), filter: None }),
            (true, true) => Some(Selection { ids: Vec::new(), filter: Some(filter) }),
            (true, false) => {
                mistakes.add("name dead letters by id, by a filter, or all of them with --all");
                None
            }
            (false, true) => {
                mistakes.add("dead letters are named by id or by a filter, not both");
                None
            }
        }
    }
}

/// The number of a source, and whether letters without one are meant.
fn source(name: Option<&str>) -> Result<(i32, bool), String> {
    match name {
        Some("unknown") => Ok((0, true)),
        name => filter::source(name).map(|number| (number, false)).map_err(|told| format!("{told}, unknown")),
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
