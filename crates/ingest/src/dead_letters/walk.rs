//! A walk over the letters that match a filter, page by page, in the order in which they are browsed.

use weir_journal::{DeadLetterStream, Journal, JournalError, StoredDeadLetter};

use super::{filter::Filter, id::LetterId};

/// Letters that are read at once: up to 64 KiB each in memory.
const PAGE: usize = 128;

/// Goes over the letters that are there when it starts: what is laid down on the way, by a redrive for one, is not
/// met, so that every walk ends.
#[derive(Debug)]
pub(super) struct Walk {
    journal: Journal,
    filter: Filter,
    /// What is still to be walked, last first, each with the sequence where it ends.
    ahead: Vec<(DeadLetterStream, u64)>,
    /// The last letter that was looked at, whether it matched or not.
    at: Option<LetterId>,
}

/// Letters of one graveyard.
pub(super) type Page = Vec<(LetterId, StoredDeadLetter)>;

impl Walk {
    /// A walk that goes on after `cursor`.
    pub(super) async fn start(
        journal: Journal,
        filter: Filter,
        cursor: Option<LetterId>,
    ) -> Result<Self, JournalError> {
        let mut ahead = Vec::new();
        for graveyard in filter.graveyards() {
            ahead.push((graveyard, journal.dead_letter_stats(graveyard).await?.last_sequence));
        }
        if let Some(cursor) = cursor
            && let Some(position) = ahead.iter().position(|(graveyard, _)| *graveyard == cursor.graveyard)
        {
            ahead.drain(..position);
        }
        ahead.reverse();
        Ok(Self { journal, filter, ahead, at: cursor })
    }

    /// Where another walk can go on; `None` before the first letter.
    pub(super) fn cursor(&self) -> Option<LetterId> {
        self.at
    }

    /// Looks at the next letters, at most `limit`, and returns those that match, perhaps none; `None` at the end.
    pub(super) async fn next(&mut self, limit: usize) -> Result<Option<Page>, JournalError> {
        while let Some((graveyard, last)) = self.ahead.last().copied() {
            let after = self.at.filter(|at| at.graveyard == graveyard).map_or(0, |at| at.sequence);
            let mut page = self.journal.dead_letters(graveyard, after, limit.min(PAGE)).await?;
            page.retain(|stored| stored.sequence <= last);
            let Some(furthest) = page.last() else {
                self.ahead.pop();
                continue;
            };
            self.at = Some(LetterId { graveyard, sequence: furthest.sequence });
            page.retain(|stored| self.filter.matches(graveyard, stored));
            let named =
                |stored: StoredDeadLetter| (LetterId { graveyard, sequence: stored.sequence }, stored);
            return Ok(Some(page.into_iter().map(named).collect()));
        }
        Ok(None)
    }
}
