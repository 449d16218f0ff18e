//! The letters of a redrive or a discard: those with the given ids, or all that match a filter.

use tonic::Status;
use weir::contract::ingest::v1::DeadLetterFilter;
use weir_journal::{Journal, JournalError};

use super::{
    field_errors::{FieldErrors, journal_error},
    filter::Filter,
    letter::LetterId,
    scan::{Page, Scan},
};

/// The most ids of a call. For more letters the caller uses a filter.
const MAX_IDS: usize = 1_000;
/// The most letters of one page.
const PAGE: usize = 100;

/// The checked choice of a request: ids or a filter.
#[derive(Debug, PartialEq)]
pub(super) enum Selector {
    Ids(Vec<LetterId>),
    Filter { filter: Filter, cursor: Option<LetterId> },
}

/// The letters of a selector that are still to come.
#[derive(Debug)]
pub(super) enum Selection {
    Ids { journal: Journal, remaining: std::vec::IntoIter<LetterId> },
    Scan(Scan),
}

/// One page of a selection.
#[derive(Debug, Default)]
pub(super) struct SelectionPage {
    pub(super) letters: Page,
    /// Given by id, and no longer in the journal.
    pub(super) gone: Vec<LetterId>,
    /// The cursor from which another call can continue; empty for a selection by ids.
    pub(super) cursor: String,
}

impl Selector {
    /// Checks the choice of a request. Adds each error to `errors`.
    pub(super) fn check(
        ids: &[String],
        filter: Option<DeadLetterFilter>,
        cursor: &str,
        errors: &mut FieldErrors,
    ) -> Self {
        let is_filter = filter.is_some();
        let filter = Filter::check(filter, errors);
        if ids.is_empty() != is_filter {
            errors.add::<()>("ids", "or filter must be given, and not both; an empty filter is every letter");
        }
        if ids.len() > MAX_IDS {
            errors.add::<()>("ids", format!("must be at most {MAX_IDS}"));
        }
        let cursor = parse_cursor("cursor", cursor, errors);
        if is_filter {
            return Self::Filter { filter, cursor };
        }
        let mut parsed = Vec::with_capacity(ids.len());
        for id in ids {
            match LetterId::parse(id) {
                Some(id) => parsed.push(id),
                None => drop(errors.add::<()>("ids", "must be such as rejected-17 or parked-3")),
            }
        }
        Self::Ids(parsed)
    }

    /// Starts the selection.
    pub(super) async fn start(self, journal: Journal) -> Result<Selection, Status> {
        Ok(match self {
            Self::Ids(ids) => Selection::Ids { journal, remaining: ids.into_iter() },
            Self::Filter { filter, cursor } => {
                Selection::Scan(Scan::start(journal, filter, cursor).await.map_err(journal_error)?)
            }
        })
    }
}

impl Selection {
    /// The next page; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<SelectionPage>, JournalError> {
        match self {
            Self::Ids { journal, remaining } => next_by_id(journal, remaining).await,
            Self::Scan(scan) => {
                let Some(letters) = scan.next(PAGE).await? else { return Ok(None) };
                let cursor = scan.cursor().map(|cursor| cursor.to_string()).unwrap_or_default();
                Ok(Some(SelectionPage { letters, gone: Vec::new(), cursor }))
            }
        }
    }
}

/// The next page of letters by id.
async fn next_by_id(
    journal: &Journal,
    remaining: &mut std::vec::IntoIter<LetterId>,
) -> Result<Option<SelectionPage>, JournalError> {
    let mut page = SelectionPage::default();
    for id in remaining.by_ref().take(PAGE) {
        match journal.dead_letter(id.stream, id.sequence).await? {
            Some(stored) => page.letters.push((id, stored)),
            None => page.gone.push(id),
        }
    }
    Ok((!page.letters.is_empty() || !page.gone.is_empty()).then_some(page))
}

/// Parses a cursor; `None` for an empty one, which means the beginning.
pub(super) fn parse_cursor(field: &'static str, text: &str, errors: &mut FieldErrors) -> Option<LetterId> {
    if text.is_empty() {
        return None;
    }
    LetterId::parse(text).or_else(|| errors.add(field, "is none that this service gave"))
}
