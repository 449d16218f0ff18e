//! The letters of a redrive or a discard: named one by one, or all that match a filter.

use tonic::Status;
use weir::contract::ingest::v1::DeadLetterFilter;
use weir_journal::{Journal, JournalError};

use super::{
    field_errors::{Faults, unreadable},
    filter::Filter,
    letter::LetterId,
    scan::{Page, Walk},
};

/// The most ids of a call; more are what filters are for.
const MAX_IDS: usize = 1_000;
/// Letters that are seen to together.
const STEP: usize = 100;

/// What is asked for, checked.
#[derive(Debug, PartialEq)]
pub(super) enum Asked {
    Ids(Vec<LetterId>),
    Filter { filter: Filter, cursor: Option<LetterId> },
}

/// What is left of it.
#[derive(Debug)]
pub(super) enum Selection {
    Ids { journal: Journal, left: std::vec::IntoIter<LetterId> },
    Walk(Walk),
}

/// The next letters of a selection.
#[derive(Debug, Default)]
pub(super) struct Step {
    pub(super) letters: Page,
    /// Named, and there no more.
    pub(super) gone: Vec<LetterId>,
    /// Where another call can go on; empty where ids were named.
    pub(super) cursor: String,
}

impl Asked {
    pub(super) fn read(
        ids: &[String],
        filter: Option<DeadLetterFilter>,
        cursor: &str,
        faults: &mut Faults,
    ) -> Self {
        let is_filter = filter.is_some();
        let filter = Filter::read(filter, faults);
        if ids.is_empty() != is_filter {
            faults.add::<()>("ids", "or filter must be given, and not both; an empty filter is every letter");
        }
        if ids.len() > MAX_IDS {
            faults.add::<()>("ids", format!("must be at most {MAX_IDS}"));
        }
        let cursor = read_cursor("cursor", cursor, faults);
        if is_filter {
            return Self::Filter { filter, cursor };
        }
        let mut read = Vec::with_capacity(ids.len());
        for id in ids {
            match LetterId::parse(id) {
                Some(id) => read.push(id),
                None => drop(faults.add::<()>("ids", "must be such as rejected-17 or parked-3")),
            }
        }
        Self::Ids(read)
    }

    pub(super) async fn begin(self, journal: Journal) -> Result<Selection, Status> {
        Ok(match self {
            Self::Ids(ids) => Selection::Ids { journal, left: ids.into_iter() },
            Self::Filter { filter, cursor } => {
                Selection::Walk(Walk::start(journal, filter, cursor).await.map_err(unreadable)?)
            }
        })
    }
}

impl Selection {
    /// `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Step>, JournalError> {
        match self {
            Self::Ids { journal, left } => named(journal, left).await,
            Self::Walk(walk) => {
                let Some(letters) = walk.next(STEP).await? else { return Ok(None) };
                let cursor = walk.cursor().map(|cursor| cursor.to_string()).unwrap_or_default();
                Ok(Some(Step { letters, gone: Vec::new(), cursor }))
            }
        }
    }
}

async fn named(
    journal: &Journal,
    left: &mut std::vec::IntoIter<LetterId>,
) -> Result<Option<Step>, JournalError> {
    let mut step = Step::default();
    for id in left.by_ref().take(STEP) {
        match journal.dead_letter(id.graveyard, id.sequence).await? {
            Some(stored) => step.letters.push((id, stored)),
            None => step.gone.push(id),
        }
    }
    Ok((!step.letters.is_empty() || !step.gone.is_empty()).then_some(step))
}

/// Empty is the beginning.
pub(super) fn read_cursor(field: &'static str, text: &str, faults: &mut Faults) -> Option<LetterId> {
    if text.is_empty() {
        return None;
    }
    LetterId::parse(text).or_else(|| faults.add(field, "is none that this service gave"))
}
