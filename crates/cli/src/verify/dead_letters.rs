//! The dead letters: accepted events that storage refused, and items that the gate did.

use std::collections::HashMap;

use weir_event::Source;
use weir_journal::{DeadLetterStream, Observer, StoredDeadLetter};

use super::{case::Case, expectations::Promise, findings::Findings};
use crate::generator::number_of;

/// Letters that are read at once.
const PAGE: usize = 1_000;

/// The items that were answered no, by their bytes; each has a name for people.
#[derive(Debug, Default)]
pub(super) struct RejectedItems(HashMap<Vec<u8>, String>);

impl RejectedItems {
    pub(super) fn expect(&mut self, raw: Vec<u8>, name: String) {
        self.0.insert(raw, name);
    }
}

/// Notes which events of the ledger are parked.
pub(super) async fn note_parked(
    journal: &Observer,
    cases: &mut [Case],
    findings: &mut Findings,
) -> anyhow::Result<()> {
    let mut letters = Letters::of(DeadLetterStream::Parked);
    while let Some(page) = letters.next(journal).await? {
        for letter in page {
            note(&letter, cases, findings);
        }
    }
    Ok(())
}

fn note(letter: &StoredDeadLetter, cases: &mut [Case], findings: &mut Findings) {
    let (Some(source), Some(event_id)) = (letter.letter.source, &letter.letter.event_id) else { return };
    let Some((case, number)) = whose(source, event_id, cases) else { return };
    match case.fates.promise(source, number) {
        Some(Promise::Accepted | Promise::Nothing) => case.fates.note_parked(number),
        Some(Promise::Rejected | Promise::NotStored) | None => {
            findings.spurious.add(|| format!("{event_id}, a dead letter"));
        }
    }
}

fn whose<'a>(source: Source, event_id: &str, cases: &'a mut [Case]) -> Option<(&'a mut Case, u64)> {
    cases.iter_mut().find_map(|case| {
        let number = number_of(event_id, source, case.run.seed)?;
        Some((case, number))
    })
}

/// Looks for a dead letter of every item that was answered no.
pub(super) async fn find_rejected(
    journal: &Observer,
    mut items: RejectedItems,
    findings: &mut Findings,
) -> anyhow::Result<()> {
    findings.rejected = items.0.len() as u64;
    let mut letters = Letters::of(DeadLetterStream::Rejected);
    while !items.0.is_empty()
        && let Some(page) = letters.next(journal).await?
    {
        for letter in page {
            items.0.remove(&letter.letter.raw[..]);
        }
    }
    for name in items.0.into_values() {
        findings.missing.add(|| format!("the dead letter of {name}"));
    }
    Ok(())
}

/// Dead letters, page by page.
struct Letters {
    graveyard: DeadLetterStream,
    after: u64,
}

impl Letters {
    fn of(graveyard: DeadLetterStream) -> Self {
        Self { graveyard, after: 0 }
    }

    async fn next(&mut self, journal: &Observer) -> anyhow::Result<Option<Vec<StoredDeadLetter>>> {
        let page = journal.dead_letters(self.graveyard, self.after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(None) };
        self.after = last.sequence;
        Ok(Some(page))
    }
}
