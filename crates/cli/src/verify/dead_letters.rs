//! The comparison with the dead letters: accepted events that the database refused, and items that the gate
//! refused.

use std::collections::HashMap;

use weir_event::Source;
use weir_journal::{DeadLetterStream, Observer, StoredDeadLetter};

use super::{
    expectations::{Case, Promise},
    findings::VerifyFindings,
};
use crate::generator::number_of;

/// The number of letters per page.
const PAGE: usize = 1_000;

/// The rejected items by their bytes, each with a name for messages.
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
    findings: &mut VerifyFindings,
) -> anyhow::Result<()> {
    let mut letters = DeadLetterPages::of(DeadLetterStream::Parked);
    while let Some(page) = letters.next(journal).await? {
        for letter in page {
            note(&letter, cases, findings);
        }
    }
    Ok(())
}

fn note(letter: &StoredDeadLetter, cases: &mut [Case], findings: &mut VerifyFindings) {
    let (Some(source), Some(event_id)) = (letter.letter.source, &letter.letter.event_id) else { return };
    let Some((case, number)) = case_of(source, event_id, cases) else { return };
    match case.expectations.promise(source, number) {
        Some(Promise::Accepted | Promise::Nothing) => case.expectations.note_parked(number),
        Some(Promise::Rejected | Promise::NotStored) | None => {
            findings.spurious.add(|| format!("{event_id}, a dead letter"));
        }
    }
}

fn case_of<'a>(source: Source, event_id: &str, cases: &'a mut [Case]) -> Option<(&'a mut Case, u64)> {
    cases.iter_mut().find_map(|case| {
        let number = number_of(event_id, source, case.run.seed)?;
        Some((case, number))
    })
}

/// Searches the dead letter of every rejected item.
pub(super) async fn find_rejected(
    journal: &Observer,
    mut items: RejectedItems,
    findings: &mut VerifyFindings,
) -> anyhow::Result<()> {
    findings.rejected = items.0.len() as u64;
    let mut letters = DeadLetterPages::of(DeadLetterStream::Rejected);
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

/// Reads dead letters page by page.
struct DeadLetterPages {
    graveyard: DeadLetterStream,
    after: u64,
}

impl DeadLetterPages {
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
