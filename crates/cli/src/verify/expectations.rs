//! What was promised of each event of a run, and where it was found: a few bytes an event, so that millions fit.

use std::collections::HashMap;

use anyhow::ensure;
use weir_event::Source;

use super::findings::Findings;
use crate::{
    generator::{Batch, EventStream, event_id},
    ledger::{Outcome, Run},
};

/// What the answer promised; of several requests that carry an event, the greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Promise {
    /// It is not stored: the request was at fault.
    NotStored,
    /// Nobody knows.
    Nothing,
    /// It is a dead letter, or whatever became of that.
    Rejected,
    /// It is stored, or parked.
    Accepted,
}

#[derive(Clone, Copy, Debug)]
struct Fate {
    source: Source,
    promise: Promise,
    /// How often it was sent without being refused.
    sent: u32,
    stored: bool,
    /// Its person was erased, and it has no row: were it a dead letter, that is gone.
    erased: bool,
}

/// The fates of a run's events, by their numbers.
#[derive(Debug)]
pub(super) struct Fates {
    fates: Vec<Fate>,
    /// How often an event lies among the dead letters that storage refused.
    parked: HashMap<u64, u64>,
}

impl Fates {
    /// Follows the run through all of its requests.
    ///
    /// # Errors
    /// The run's requests are not those that this build would make.
    pub(super) fn of(run: &Run) -> anyhow::Result<Self> {
        let mut fates = Self { fates: Vec::new(), parked: HashMap::new() };
        let mut stream = EventStream::new(run.mix.clone(), run.seed);
        for request in &run.requests {
            let batch = stream.next_batch(request.at);
            ensure!(batch.events() == request.events, "another version of weir publish wrote this ledger");
            fates.follow(run.seed, &batch, &request.outcome);
        }
        Ok(fates)
    }

    fn follow(&mut self, seed: u64, batch: &Batch, outcome: &Outcome) {
        for (place, item) in (0..).zip(&batch.items) {
            let promise = match outcome {
                Outcome::Accepted { rejected } if rejected.contains(&place) => Promise::Rejected,
                Outcome::Accepted { .. } => Promise::Accepted,
                Outcome::Refused { .. } => Promise::NotStored,
                Outcome::Unknown { .. } => Promise::Nothing,
            };
            let sent = u32::from(promise != Promise::NotStored);
            match self.of_number(item.number) {
                Some(fate) => {
                    fate.promise = fate.promise.max(promise);
                    fate.sent += sent;
                }
                None => self.fates.push(Fate {
                    source: item.source(seed),
                    promise,
                    sent,
                    stored: false,
                    erased: false,
                }),
            }
        }
    }

    pub(super) fn len(&self) -> u64 {
        self.fates.len() as u64
    }

    /// The promise of an event of this source; none where there is no such event.
    pub(super) fn promise(&self, source: Source, number: u64) -> Option<Promise> {
        let fate = usize::try_from(number).ok().and_then(|number| self.fates.get(number))?;
        (fate.source == source).then_some(fate.promise)
    }

    pub(super) fn note_stored(&mut self, number: u64) {
        if let Some(fate) = self.of_number(number) {
            fate.stored = true;
        }
    }

    pub(super) fn note_erased(&mut self, number: u64) {
        if let Some(fate) = self.of_number(number) {
            fate.erased = true;
        }
    }

    pub(super) fn note_parked(&mut self, number: u64) {
        *self.parked.entry(number).or_default() += 1;
    }

    fn of_number(&mut self, number: u64) -> Option<&mut Fate> {
        usize::try_from(number).ok().and_then(|number| self.fates.get_mut(number))
    }

    /// Counts what was promised, where it is, and what is nowhere or in two places.
    pub(super) fn judge(&self, seed: u64, findings: &mut Findings) {
        for (number, fate) in (0..).zip(&self.fates) {
            let parked = self.parked.get(&number).copied().unwrap_or_default();
            let id = || event_id(fate.source, seed, number);
            findings.stored += u64::from(fate.stored);
            findings.parked += parked;
            findings.accepted += u64::from(fate.promise == Promise::Accepted);
            findings.unanswered += u64::from(fate.promise == Promise::Nothing);
            // An event that the sender repeated and storage refused each time has a letter for each time. Letters do
            // not tell those apart from one that was laid down again: a call that the edge repeats keeps its origin.
            if (fate.stored && parked > 0) || parked > u64::from(fate.sent) {
                findings.double.add(id);
            }
            if fate.promise == Promise::Accepted && !fate.stored && parked == 0 {
                if fate.erased {
                    findings.erased += 1;
                } else {
                    findings.missing.add(id);
                }
            }
        }
    }
}
