//! What came of a run of the publisher.

use std::{collections::BTreeMap, fmt, time::Duration};

use serde::Deserialize;

use crate::{
    ledger::Outcome,
    output::{grouped, table},
};

/// What came of one request.
#[derive(Debug)]
pub(super) struct Exchange {
    /// How many items were sent.
    pub(super) events: u64,
    /// How many of them repeated an earlier one.
    pub(super) duplicates: u64,
    /// Until the whole answer was there, or until it was clear that none comes.
    pub(super) latency: Duration,
    /// How many items were accepted and rejected, or why there was no 2xx.
    pub(super) answer: Result<Answer, Failure>,
}

/// What a 2xx says.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Answer {
    pub(super) accepted: u64,
    pub(super) rejected: u64,
    /// At most 100 of the rejected ones.
    pub(super) errors: Vec<RejectedItem>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct RejectedItem {
    /// Its place in the request.
    pub(super) index: u64,
}

/// Why there was no 2xx.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) reason: String,
    /// The request was at fault, so nothing of it was accepted; otherwise nobody knows.
    pub(super) refused: bool,
}

impl Exchange {
    /// What the ledger keeps of it.
    pub(super) fn outcome(&self) -> Outcome {
        match &self.answer {
            Ok(answer) if answer.tells_of_every_one(self.events) => {
                Outcome::Accepted { rejected: answer.errors.iter().map(|error| error.index).collect() }
            }
            Ok(_) => Outcome::Unknown { reason: "the answer does not tell of every item".to_owned() },
            Err(Failure { reason, refused: true }) => Outcome::Refused { reason: reason.clone() },
            Err(Failure { reason, refused: false }) => Outcome::Unknown { reason: reason.clone() },
        }
    }
}

impl Answer {
    fn tells_of_every_one(&self, events: u64) -> bool {
        self.accepted + self.rejected == events && self.errors.len() as u64 == self.rejected
    }
}

/// What came of all requests.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    pub(crate) events: u64,
    pub(crate) duplicates: u64,
    pub(crate) accepted: u64,
    pub(crate) rejected: u64,
    latencies: Vec<Duration>,
    failures: BTreeMap<String, u64>,
}

impl Summary {
    pub(super) fn add(&mut self, exchange: Exchange) {
        self.events += exchange.events;
        self.duplicates += exchange.duplicates;
        self.latencies.push(exchange.latency);
        match exchange.answer {
            Ok(answer) => {
                self.accepted += answer.accepted;
                self.rejected += answer.rejected;
            }
            Err(failure) => *self.failures.entry(failure.reason).or_default() += 1,
        }
    }

    pub(crate) fn requests(&self) -> u64 {
        self.latencies.len() as u64
    }

    /// How many requests had no 2xx for an answer.
    pub(crate) fn failed(&self) -> u64 {
        self.failures.values().sum()
    }
}

/// The latency that `percent` of the requests did not exceed, by the nearest rank; zero without requests.
fn quantile(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}

impl fmt::Display for Summary {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut latencies = self.latencies.clone();
        latencies.sort_unstable();
        let counts = [
            ("requests", self.requests()),
            ("events sent", self.events),
            ("of them duplicates", self.duplicates),
            ("accepted", self.accepted),
            ("rejected", self.rejected),
            ("failed requests", self.failed()),
        ];
        let quantiles = [("latency p50", 50), ("latency p95", 95), ("latency p99", 99), ("latency max", 100)];
        let counts = counts.map(|(name, count)| [name.to_owned(), grouped(count)]);
        let quantiles = quantiles.map(|(name, percent)| {
            let latency = quantile(&latencies, percent);
            [name.to_owned(), format!("{:.1} ms", latency.as_secs_f64() * 1e3)]
        });
        write!(formatter, "{}", table(["published", ""], 1, counts.into_iter().chain(quantiles)))?;
        self.failures.iter().try_for_each(|(reason, count)| write!(formatter, "\n{count} × {reason}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exchange(milliseconds: u64, answer: Result<Answer, Failure>) -> Exchange {
        Exchange { events: 10, duplicates: 1, latency: Duration::from_millis(milliseconds), answer }
    }

    fn failure(reason: &str, refused: bool) -> Failure {
        Failure { reason: reason.to_owned(), refused }
    }

    #[test]
    fn only_an_answer_that_tells_of_every_item_is_a_yes() {
        let answer = |accepted, indexes: &[u64]| {
            let errors: Vec<_> = indexes.iter().map(|index| RejectedItem { index: *index }).collect();
            Ok(Answer { accepted, rejected: 10 - accepted, errors })
        };
        assert_eq!(exchange(1, answer(9, &[3])).outcome(), Outcome::Accepted { rejected: vec![3] });
        assert!(matches!(exchange(1, answer(9, &[])).outcome(), Outcome::Unknown { .. }));
        assert!(matches!(exchange(1, Ok(Answer::default())).outcome(), Outcome::Unknown { .. }));
        assert!(matches!(exchange(1, Err(failure("400", true))).outcome(), Outcome::Refused { .. }));
        assert!(matches!(exchange(1, Err(failure("503", false))).outcome(), Outcome::Unknown { .. }));
    }

    #[test]
    fn requests_without_a_2xx_are_failed_and_their_events_not_accepted() {
        let mut summary = Summary::default();
        summary.add(exchange(1, Ok(Answer { accepted: 9, rejected: 1, errors: Vec::new() })));
        summary.add(exchange(2, Err(failure("503 Service Unavailable", false))));
        assert_eq!((summary.requests(), summary.events, summary.accepted, summary.failed()), (2, 20, 9, 1));
        assert!(summary.to_string().ends_with("1 × 503 Service Unavailable"));
    }

    #[test]
    fn quantiles_are_of_the_nearest_rank() {
        let sorted: Vec<Duration> = (1..=100).map(Duration::from_millis).collect();
        assert_eq!(quantile(&sorted, 50), Duration::from_millis(50));
        assert_eq!(quantile(&sorted, 99), Duration::from_millis(99));
        assert_eq!(quantile(&sorted[..1], 50), Duration::from_millis(1));
        assert_eq!(quantile(&[], 99), Duration::ZERO);
    }
}
