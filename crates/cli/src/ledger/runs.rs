//! Reading a ledger.

use std::{fs, path::Path};

use anyhow::{Context as _, bail};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::generator::Mix;

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "snake_case")]
pub(super) enum Line {
    /// A publisher began.
    Run { seed: u64, mix: Mix },
    /// A request is about to be sent: the publisher's next batch, of events that happened until `at_ms`.
    Request { request: u64, at_ms: i64, events: u64 },
    /// What came of it.
    Answer { request: u64, outcome: Outcome },
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// A 2xx: every item was accepted but those at these places, counted from 0, which are dead letters.
    Accepted { rejected: Vec<u64> },
    /// The request was at fault: nothing of it is stored.
    Refused { reason: String },
    /// Nobody knows: all of it, some of it or nothing may be stored.
    Unknown { reason: String },
}

/// What one publisher did.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) seed: u64,
    pub(crate) mix: Mix,
    /// In the order in which they were sent.
    pub(crate) requests: Vec<Request>,
}

#[derive(Debug)]
pub(crate) struct Request {
    /// Until when its events happened.
    pub(crate) at: DateTime<Utc>,
    /// How many items it has.
    pub(crate) events: u64,
    pub(crate) outcome: Outcome,
}

/// Reads every run of a ledger. What a publisher that was killed began to write is left out.
///
/// # Errors
/// The file can't be read, or is no ledger.
pub(crate) fn read(path: &Path) -> anyhow::Result<Vec<Run>> {
    let shown = path.display();
    let mut bytes = fs::read(path).with_context(|| format!("can't read the ledger {shown}"))?;
    bytes.truncate(whole_lines(&bytes));
    let lines = String::from_utf8(bytes).with_context(|| format!("{shown} is no ledger"))?;
    parse(&lines).with_context(|| format!("can't read {shown}"))
}

/// How many bytes end with a line's end.
pub(super) fn whole_lines(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1)
}

pub(super) fn parse(lines: &str) -> anyhow::Result<Vec<Run>> {
    let mut runs = Vec::new();
    for (index, line) in lines.lines().enumerate() {
        let parsed = serde_json::from_str(line).map_err(anyhow::Error::from);
        let noted = parsed.and_then(|line| note(&mut runs, line));
        noted.with_context(|| format!("line {} is none of a ledger", index + 1))?;
    }
    Ok(runs)
}

fn note(runs: &mut Vec<Run>, line: Line) -> anyhow::Result<()> {
    if let Line::Run { seed, mix } = line {
        runs.push(Run { seed, mix, requests: Vec::new() });
        return Ok(());
    }
    let requests = &mut runs.last_mut().context("it belongs to no run")?.requests;
    match line {
        Line::Request { request, at_ms, events } if request == requests.len() as u64 => {
            let at = DateTime::from_timestamp_millis(at_ms).context("its moment is none")?;
            let outcome = Outcome::Unknown { reason: "the publisher ended before the answer".to_owned() };
            requests.push(Request { at, events, outcome });
        }
        Line::Answer { request, outcome } => {
            let asked = usize::try_from(request).ok().and_then(|request| requests.get_mut(request));
            asked.context("it answers no request")?.outcome = outcome;
        }
        Line::Run { .. } | Line::Request { .. } => bail!("it is out of order"),
    }
    Ok(())
}
