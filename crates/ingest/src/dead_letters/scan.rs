//! A scan over the letters that match a filter, page by page: rejected before parked, oldest first.

use weir_journal::{DeadLetterStream, Journal, JournalError, StoredDeadLetter};

use super::{filter::Filter, letter::LetterId};

/// The most letters in memory at once, of up to 64 KiB each.
const PAGE: usize = 128;

/// A scan over the letters that exist when it starts. It ignores letters that are added later, for example by a
/// redrive, so that every scan ends.
#[derive(Debug)]
pub(super) struct Scan {
    journal: Journal,
    filter: Filter,
    /// The streams still to be scanned, in reverse order, each with its last sequence.
    remaining: Vec<(DeadLetterStream, u64)>,
    /// The last letter that the scan has read, matching or not.
    position: Option<LetterId>,
}

/// Letters of one stream, with their ids.
pub(super) type Page = Vec<(LetterId, StoredDeadLetter)>;

impl Scan {
    /// Starts a scan after `cursor`, or at the first letter.
    pub(super) async fn start(
        journal: Journal,
        filter: Filter,
        cursor: Option<LetterId>,
    ) -> Result<Self, JournalError> {
        let mut remaining = Vec::new();
        for stream in filter.streams() {
            remaining.push((stream, journal.dead_letter_stats(stream).await?.last_sequence));
        }
        if let Some(cursor) = cursor
            && let Some(position) = remaining.iter().position(|(stream, _)| *stream == cursor.stream)
        {
            remaining.drain(..position);
        }
        remaining.reverse();
        Ok(Self { journal, filter, remaining, position: cursor })
    }

    /// The cursor from which another scan can continue; `None` before the first letter.
    pub(super) fn cursor(&self) -> Option<LetterId> {
        self.position
    }

    /// Reads the next letters, at most `limit`, and returns the matching ones, possibly none; `None` at the end.
    pub(super) async fn next(&mut self, limit: usize) -> Result<Option<Page>, JournalError> {
        while let Some((stream, last)) = self.remaining.last().copied() {
            let after = self
                .position
                .filter(|position| position.stream == stream)
                .map_or(0, |position| position.sequence);
            let mut page = self.journal.dead_letters(stream, after, limit.min(PAGE)).await?;
            page.retain(|stored| stored.sequence <= last);
            let Some(last_read) = page.last() else {
                self.remaining.pop();
                continue;
            };
            self.position = Some(LetterId { stream, sequence: last_read.sequence });
            page.retain(|stored| self.filter.matches(stream, stored));
            let with_id = |stored: StoredDeadLetter| (LetterId { stream, sequence: stored.sequence }, stored);
            return Ok(Some(page.into_iter().map(with_id).collect()));
        }
        Ok(None)
    }
}
