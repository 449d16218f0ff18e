//! A publisher with a ledger that runs while a story injects faults, and the verification of its ledger.

use std::{collections::HashSet, fmt, fs, path::PathBuf};

use serde_json::Value;

use super::{Weir, eventually, process::Process};

/// A publisher that posts until [`Load::finish`].
#[derive(Debug)]
pub struct Load {
    process: Process,
    ledger: LedgerFile,
}

/// The ledger file of a publisher.
#[derive(Debug)]
pub struct LedgerFile(PathBuf);

/// The figures of a `weir verify` that found no event missing, spurious, double or altered.
#[derive(Debug)]
pub struct Verification {
    pub requests: usize,
    pub accepted: u64,
    pub stored: u64,
    pub parked: u64,
    /// Requests that were not answered 2xx.
    pub unanswered_requests: usize,
    /// The time from the first to the last request of the longest series without a 2xx, in milliseconds.
    worst_span_ms: i64,
    peak_memory: u64,
}

impl Load {
    /// Starts twenty requests a second, with duplicates and invalid items among their events.
    pub fn start(weir: &Weir) -> Self {
        Self::of(weir, &["--min", "20", "--max", "150", "--interval-ms", "50"])
    }

    /// Starts a publisher with these further arguments.
    pub fn of(weir: &Weir, args: &[&str]) -> Self {
        Self::named("publish", weir, args)
    }

    /// [`Load::of`] beside another publisher; the name distinguishes the two.
    pub fn named(name: &str, weir: &Weir, args: &[&str]) -> Self {
        let ledger = weir.folder().join(format!("{name}.ledger"));
        let mut command =
            weir.tool(&["publish", "--corrupt", "0.1", "--duplicates", "0.05", "--late", "0.1"]);
        command.arg("--ledger").arg(&ledger).args(args);
        Self { process: Process::start(name, weir.folder(), command), ledger: LedgerFile(ledger) }
    }

    /// Waits until so many more requests are answered 2xx.
    pub async fn wait_for_accepted(&self, more: usize) {
        let goal = self.accepted_requests() + more;
        eventually(async || match self.accepted_requests() {
            accepted if accepted >= goal => Ok(()),
            accepted => Err(format!("{accepted} of {goal} requests were answered 2xx")),
        })
        .await;
    }

    /// Waits until so many more requests are answered otherwise, or not at all.
    pub async fn wait_for_refused(&self, more: usize) {
        let goal = self.refused_requests() + more;
        eventually(async || match self.refused_requests() {
            refused if refused >= goal => Ok(()),
            refused => Err(format!("{refused} of {goal} requests were refused")),
        })
        .await;
    }

    /// Ends the publisher, waits for its last answers, and compares its ledger with the store.
    pub async fn verify(self, weir: &Weir) -> Verification {
        self.finish().await.verify(weir).await
    }

    /// Ends the publisher and waits for its last answers.
    pub async fn finish(mut self) -> LedgerFile {
        self.process.signal("INT").await;
        self.process.ended().await;
        self.ledger
    }

    fn accepted_requests(&self) -> usize {
        self.ledger.answers("accepted").count()
    }

    fn refused_requests(&self) -> usize {
        self.ledger.answers("unknown").count()
    }
}

impl LedgerFile {
    /// Compares the ledger with the store. Fails if an event is missing, spurious, double or altered, or if the store
    /// does not account for a frame of the journal.
    pub async fn verify(&self, weir: &Weir) -> Verification {
        let ledger = self.0.to_str().expect("a temporary folder's name is text");
        let (status, findings) = weir.run(&["verify", "--ledger", ledger], &[]).await;
        assert!(status.success(), "{findings}");
        weir.expect_all_accounted().await;
        let accepted: HashSet<u64> = self.answers("accepted").collect();
        let verification = Verification {
            requests: self.lines().filter(|line| line["line"] == "request").count(),
            accepted: count(&findings, "accepted"),
            stored: count(&findings, "stored"),
            parked: count(&findings, "parked"),
            unanswered_requests: self.lines().filter(|line| line["line"] == "request").count()
                - accepted.len(),
            worst_span_ms: self.worst_span_ms(&accepted),
            peak_memory: weir.peak_memory(),
        };
        eprintln!("{verification}");
        verification
    }

    /// The numbers of the requests with this outcome.
    fn answers(&self, outcome: &str) -> impl Iterator<Item = u64> {
        self.lines()
            .filter(move |line| line["outcome"][outcome].is_object())
            .filter_map(|line| line["request"].as_u64())
    }

    fn worst_span_ms(&self, accepted: &HashSet<u64>) -> i64 {
        let (mut since, mut worst) = (None, 0);
        for line in self.lines().filter(|line| line["line"] == "request") {
            let at = line["at_ms"].as_i64().expect("a request has a moment");
            if accepted.contains(&line["request"].as_u64().expect("a request has a number")) {
                since = None;
            } else {
                worst = worst.max(at - *since.get_or_insert(at));
            }
        }
        worst
    }

    fn lines(&self) -> impl Iterator<Item = Value> + use<> {
        let text = fs::read_to_string(&self.0).unwrap_or_default();
        let lines: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        lines.into_iter()
    }
}

impl fmt::Display for Verification {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { requests, accepted, stored, parked, unanswered_requests, worst_span_ms, peak_memory } =
            self;
        write!(
            formatter,
            "verification: {requests} requests, {accepted} events accepted, {stored} stored, {parked} parked, nothing \
             missing, spurious, double or altered; {unanswered_requests} requests without a yes, the longest row \
             of them {worst_span_ms} ms; peak memory {} MiB",
            peak_memory >> 20
        )
    }
}

/// The number in the line of the table that contains `name`.
fn count(findings: &str, name: &str) -> u64 {
    let line = findings.lines().find(|line| line.contains(name));
    let line = line.unwrap_or_else(|| panic!("no {name} in {findings}"));
    let digits: String = line.chars().filter(char::is_ascii_digit).collect();
    digits.parse().unwrap_or_else(|_| panic!("no number in {line}"))
}
