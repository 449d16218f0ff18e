//! The promised and the found state of each event of a run: a few bytes per event, so that millions fit.

use std::collections::HashMap;

use anyhow::ensure;
use weir_event::Source;

use super::findings::VerifyFindings;
use crate::{
    generator::{EventStream, GeneratedBatch, event_id},
    ledger::{RequestOutcome, Run},
};

/// The promise of an answer. An event of several requests has the greatest of their promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Promise {
    /// The event is not stored, because the request was at fault.
    NotStored,
    /// The answer promises nothing.
    Nothing,
    /// The event is a dead letter, or was redriven.
    Rejected,
    /// The event is stored, or parked.
    Accepted,
}

#[derive(Clone, Copy, Debug)]
struct Expectation {
    source: Source,
    promise: Promise,
    /// The number of requests with it that were not refused.
    sent: u32,
    stored: bool,
    /// Its person was erased, and it has no row. The erasure also removed its dead letter.
    erased: bool,
}

/// One run of a ledger, and the expectations of its events.
pub(super) struct Case {
    pub(super) run: Run,
    pub(super) expectations: Expectations,
}

impl Case {
    /// # Errors
    /// This build would make other requests from the run's seed.
    pub(super) fn of(run: Run) -> anyhow::Result<Self> {
        Ok(Self { expectations: Expectations::of(&run)?, run })
    }
}

/// The expectations of a run's events, by their numbers.
#[derive(Debug)]
pub(super) struct Expectations {
    expectations: Vec<Expectation>,
    /// The number of an event's dead letters from the database.
    parked: HashMap<u64, u64>,
}

impl Expectations {
    /// Follows the run through all of its requests.
    ///
    /// # Errors
    /// This build would make other requests from the run's seed.
    pub(super) fn of(run: &Run) -> anyhow::Result<Self> {
        let mut expectations = Self { expectations: Vec::new(), parked: HashMap::new() };
        let mut stream = EventStream::new(run.mix.clone(), run.seed);
        for request in &run.requests {
            let batch = stream.next_batch(request.at);
            ensure!(batch.events() == request.events, "another version of weir publish wrote this ledger");
            expectations.follow(run.seed, &batch, &request.outcome);
        }
        Ok(expectations)
    }

    fn follow(&mut self, seed: u64, batch: &GeneratedBatch, outcome: &RequestOutcome) {
        for (index, item) in (0..).zip(&batch.items) {
            let promise = match outcome {
                RequestOutcome::Accepted { rejected } if rejected.contains(&index) => Promise::Rejected,
                RequestOutcome::Accepted { .. } => Promise::Accepted,
                RequestOutcome::Refused { .. } => Promise::NotStored,
                RequestOutcome::Unknown { .. } => Promise::Nothing,
            };
            let sent = u32::from(promise != Promise::NotStored);
            match self.of_number(item.number) {
                Some(expectation) => {
                    expectation.promise = expectation.promise.max(promise);
                    expectation.sent += sent;
                }
                None => self.expectations.push(Expectation {
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
        self.expectations.len() as u64
    }

    /// The promise of an event of this source; `None` if there is no such event.
    pub(super) fn promise(&self, source: Source, number: u64) -> Option<Promise> {
        let expectation = usize::try_from(number).ok().and_then(|number| self.expectations.get(number))?;
        (expectation.source == source).then_some(expectation.promise)
    }

    pub(super) fn note_stored(&mut self, number: u64) {
        if let Some(expectation) = self.of_number(number) {
            expectation.stored = true;
        }
    }

    pub(super) fn note_erased(&mut self, number: u64) {
        if let Some(expectation) = self.of_number(number) {
            expectation.erased = true;
        }
    }

    pub(super) fn note_parked(&mut self, number: u64) {
        *self.parked.entry(number).or_default() += 1;
    }

    fn of_number(&mut self, number: u64) -> Option<&mut Expectation> {
        usize::try_from(number).ok().and_then(|number| self.expectations.get_mut(number))
    }

    /// Counts promises and places, and records events that are missing or in two places.
    pub(super) fn check(&self, seed: u64, findings: &mut VerifyFindings) {
        for (number, expectation) in (0..).zip(&self.expectations) {
            let parked = self.parked.get(&number).copied().unwrap_or_default();
            let id = || event_id(expectation.source, seed, number);
            findings.stored += u64::from(expectation.stored);
            findings.parked += parked;
            findings.accepted += u64::from(expectation.promise == Promise::Accepted);
            findings.unanswered += u64::from(expectation.promise == Promise::Nothing);
            // An event that the sender repeats, and that the database refuses each time, has a letter each
            // time. Such letters look like two letters of one call, because a call that the edge repeats
            // keeps its origin.
            if (expectation.stored && parked > 0) || parked > u64::from(expectation.sent) {
                findings.double.add(id);
            }
            if expectation.promise == Promise::Accepted && !expectation.stored && parked == 0 {
                if expectation.erased {
                    findings.erased += 1;
                } else {
                    findings.missing.add(id);
                }
            }
        }
    }
}
