//! The summary of a run of the publisher.

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;

use crate::{
    ledger::RequestOutcome,
    output::{Page, grouped, table},
};

/// One request and its outcome.
#[derive(Debug)]
pub(super) struct Exchange {
    /// The number of items in the request.
    pub(super) events: u64,
    /// The number of items that repeat an earlier one.
    pub(super) duplicates: u64,
    /// The time until the whole answer arrived, or until the request failed.
    pub(super) latency: Duration,
    /// The numbers of accepted and rejected items, or the reason why there was no 2xx.
    pub(super) answer: Result<PostAnswer, RequestError>,
}

/// The body of a 2xx.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct PostAnswer {
    pub(super) accepted: u64,
    pub(super) rejected: u64,
    /// At most 100 of the rejected items.
    pub(super) errors: Vec<RejectedItem>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct RejectedItem {
    /// The index of the item in the request.
    pub(super) index: u64,
}

/// The reason why there was no 2xx.
#[derive(Clone, Debug)]
pub(super) struct RequestError {
    pub(super) reason: String,
    /// True if the request was at fault, so that nothing of it was accepted; otherwise the outcome is
    /// unknown.
    pub(super) refused: bool,
}

impl Exchange {
    /// The outcome that the ledger keeps.
    pub(super) fn outcome(&self) -> RequestOutcome {
        match &self.answer {
            Ok(answer) if answer.covers_every_item(self.events) => {
                RequestOutcome::Accepted { rejected: answer.errors.iter().map(|error| error.index).collect() }
            }
            Ok(_) => RequestOutcome::Unknown { reason: "the answer does not tell of every item".to_owned() },
            Err(RequestError { reason, refused: true }) => RequestOutcome::Refused { reason: reason.clone() },
            Err(RequestError { reason, refused: false }) => {
                RequestOutcome::Unknown { reason: reason.clone() }
            }
        }
    }
}

impl PostAnswer {
    fn covers_every_item(&self, events: u64) -> bool {
        self.accepted + self.rejected == events && self.errors.len() as u64 == self.rejected
    }
}

/// The sums over all requests.
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
            Err(error) => *self.failures.entry(error.reason).or_default() += 1,
        }
    }

    pub(crate) fn requests(&self) -> u64 {
        self.latencies.len() as u64
    }

    /// The number of requests without a 2xx.
    pub(crate) fn failed(&self) -> u64 {
        self.failures.values().sum()
    }
}

/// The latency that `percent` of the requests did not exceed, by the nearest rank; zero without requests.
fn quantile(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}

impl Summary {
    /// The figures, and the reasons of failed requests.
    pub(crate) fn page(&self) -> Page {
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
        let mut page = Page::from(&table(["published", ""], 1, counts.into_iter().chain(quantiles)));
        self.failures.iter().for_each(|(reason, count)| page.line(format_args!("{count} × {reason}")));
        page
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exchange(milliseconds: u64, answer: Result<PostAnswer, RequestError>) -> Exchange {
        Exchange { events: 10, duplicates: 1, latency: Duration::from_millis(milliseconds), answer }
    }

    fn error(reason: &str, refused: bool) -> RequestError {
        RequestError { reason: reason.to_owned(), refused }
    }

    #[test]
    fn only_an_answer_about_every_item_is_accepted() {
        let answer = |accepted, indexes: &[u64]| {
            let errors: Vec<_> = indexes.iter().map(|index| RejectedItem { index: *index }).collect();
            Ok(PostAnswer { accepted, rejected: 10 - accepted, errors })
        };
        assert_eq!(exchange(1, answer(9, &[3])).outcome(), RequestOutcome::Accepted { rejected: vec![3] });
        assert!(matches!(exchange(1, answer(9, &[])).outcome(), RequestOutcome::Unknown { .. }));
        assert!(matches!(exchange(1, Ok(PostAnswer::default())).outcome(), RequestOutcome::Unknown { .. }));
        assert!(matches!(exchange(1, Err(error("400", true))).outcome(), RequestOutcome::Refused { .. }));
        assert!(matches!(exchange(1, Err(error("503", false))).outcome(), RequestOutcome::Unknown { .. }));
    }

    #[test]
    fn requests_without_a_2xx_are_failed_and_their_events_not_accepted() {
        let mut summary = Summary::default();
        summary.add(exchange(1, Ok(PostAnswer { accepted: 9, rejected: 1, errors: Vec::new() })));
        summary.add(exchange(2, Err(error("503 Service Unavailable", false))));
        assert_eq!((summary.requests(), summary.events, summary.accepted, summary.failed()), (2, 20, 9, 1));
        assert!(summary.page().to_string().ends_with("1 × 503 Service Unavailable"));
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
