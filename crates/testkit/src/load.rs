//! A publisher with a ledger that runs while a story injects faults, and the proof afterwards.

use std::{collections::HashSet, fmt, fs, path::PathBuf};

use serde_json::Value;

use super::{Weir, eventually, process::Process};

/// A publisher that goes on until it is told to finish.
#[derive(Debug)]
pub struct Load {
    process: Process,
    ledger: Ledger,
}

/// What a publisher wrote down.
#[derive(Debug)]
pub struct Ledger(PathBuf);

/// What `weir verify` found; nothing was missing, spurious, double or altered.
#[derive(Debug)]
pub struct Proof {
    pub requests: usize,
    pub accepted: u64,
    pub stored: u64,
    pub parked: u64,
    /// Requests without a yes.
    pub unanswered_requests: usize,
    /// From the first to the last request of the longest row without a yes, milliseconds.
    worst_span_ms: i64,
    peak_memory: u64,
}

impl Load {
    /// Twenty requests a second, with repeats and spoilt items among their events.
    pub fn start(weir: &Weir) -> Self {
        Self::of(weir, &["--min", "20", "--max", "150", "--interval-ms", "50"])
    }

    /// A publisher with arguments of its own.
    pub fn of(weir: &Weir, args: &[&str]) -> Self {
        Self::named("publish", weir, args)
    }

    /// [`Load::of`] beside another one.
    pub fn named(name: &str, weir: &Weir, args: &[&str]) -> Self {
        let ledger = weir.folder().join(format!("{name}.ledger"));
        let mut command =
            weir.tool(&["publish", "--corrupt", "0.1", "--duplicates", "0.05", "--late", "0.1"]);
        command.arg("--ledger").arg(&ledger).args(args);
        Self { process: Process::start(name, weir.folder(), command), ledger: Ledger(ledger) }
    }

    /// Waits until as many more requests are answered yes.
    pub async fn answered(&self, more: usize) {
        let goal = self.accepted_requests() + more;
        eventually(async || match self.accepted_requests() {
            accepted if accepted >= goal => Ok(()),
            accepted => Err(format!("{accepted} of {goal} requests were answered yes")),
        })
        .await;
    }

    /// Waits until as many more requests have no yes.
    pub async fn refused(&self, more: usize) {
        let goal = self.refused_requests() + more;
        eventually(async || match self.refused_requests() {
            refused if refused >= goal => Ok(()),
            refused => Err(format!("{refused} of {goal} requests were refused")),
        })
        .await;
    }

    /// Ends the publisher, waits for its answers, and compares its ledger with what is stored.
    pub async fn prove(self, weir: &Weir) -> Proof {
        self.finish().await.prove(weir).await
    }

    /// Ends the publisher and waits for its answers.
    pub async fn finish(mut self) -> Ledger {
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

impl Ledger {
    /// Compares it with what is stored; fails where anything is missing, spurious, double or altered, or a frame that
    /// the journal holds as acknowledged is unaccounted for.
    pub async fn prove(&self, weir: &Weir) -> Proof {
        let ledger = self.0.to_str().expect("a temporary folder's name is text");
        let (status, findings) = weir.run(&["verify", "--ledger", ledger], &[]).await;
        assert!(status.success(), "{findings}");
        weir.is_accounted_for().await;
        let accepted: HashSet<u64> = self.answers("accepted").collect();
        let proof = Proof {
            requests: self.lines().filter(|line| line["line"] == "request").count(),
            accepted: count(&findings, "accepted"),
            stored: count(&findings, "stored"),
            parked: count(&findings, "parked"),
            unanswered_requests: self.lines().filter(|line| line["line"] == "request").count()
                - accepted.len(),
            worst_span_ms: self.worst_span_ms(&accepted),
            peak_memory: weir.peak_memory(),
        };
        eprintln!("{proof}");
        proof
    }

    /// The requests with this outcome.
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

impl fmt::Display for Proof {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { requests, accepted, stored, parked, unanswered_requests, worst_span_ms, peak_memory } =
            self;
        write!(
            formatter,
            "proof: {requests} requests, {accepted} events accepted, {stored} stored, {parked} parked, nothing \
             missing, spurious, double or altered; {unanswered_requests} requests without a yes, the longest row \
             of them {worst_span_ms} ms; peak memory {} MiB",
            peak_memory >> 20
        )
    }
}

/// The number in a line of the table.
fn count(findings: &str, name: &str) -> u64 {
    let line = findings.lines().find(|line| line.contains(name));
    let line = line.unwrap_or_else(|| panic!("no {name} in {findings}"));
    let digits: String = line.chars().filter(char::is_ascii_digit).collect();
    digits.parse().unwrap_or_else(|_| panic!("no number in {line}"))
}
