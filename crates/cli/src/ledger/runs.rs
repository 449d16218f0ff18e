//! The lines of a ledger, and the runs read from them.

use std::{fs, path::Path};

use anyhow::{Context as _, bail};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::generator::Mix;

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "snake_case")]
pub(super) enum Line {
    /// A publisher started.
    Run { seed: u64, mix: Mix },
    /// The publisher is about to send a request: its next batch, whose events happened until `at_ms`.
    Request { request: u64, at_ms: i64, events: u64 },
    /// The outcome of a request.
    Answer { request: u64, outcome: RequestOutcome },
}

/// The outcome of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RequestOutcome {
    /// A 2xx: every item was accepted except those at these indexes, counted from 0, which are dead letters.
    Accepted { rejected: Vec<u64> },
    /// The request was at fault: nothing of it is stored.
    Refused { reason: String },
    /// The outcome is unknown: all of the request, a part of it or nothing may be stored.
    Unknown { reason: String },
}

/// The run of one publisher.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) seed: u64,
    pub(crate) mix: Mix,
    /// In the order in which they were sent.
    pub(crate) requests: Vec<Request>,
}

#[derive(Debug)]
pub(crate) struct Request {
    /// The time of the newest event in it.
    pub(crate) at: DateTime<Utc>,
    /// The number of its items.
    pub(crate) events: u64,
    pub(crate) outcome: RequestOutcome,
}

/// Reads every run of a ledger. A last line that a killed publisher did not complete is ignored.
///
/// # Errors
/// The file can't be read, or is not a ledger.
pub(crate) fn read(path: &Path) -> anyhow::Result<Vec<Run>> {
    let shown = path.display();
    let mut bytes = fs::read(path).with_context(|| format!("can't read the ledger {shown}"))?;
    bytes.truncate(whole_lines(&bytes));
    let lines = String::from_utf8(bytes).with_context(|| format!("{shown} is not a ledger"))?;
    parse(&lines).with_context(|| format!("can't read {shown}"))
}

/// The number of bytes up to the end of the last whole line.
pub(super) fn whole_lines(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1)
}

pub(super) fn parse(lines: &str) -> anyhow::Result<Vec<Run>> {
    let mut runs = Vec::new();
    for (index, line) in lines.lines().enumerate() {
        let parsed = serde_json::from_str(line).map_err(anyhow::Error::from);
        let noted = parsed.and_then(|line| note(&mut runs, line));
        noted.with_context(|| format!("line {} is not a line of a ledger", index + 1))?;
    }
    Ok(runs)
}

fn note(runs: &mut Vec<Run>, line: Line) -> anyhow::Result<()> {
    if let Line::Run { seed, mix } = line {
        runs.push(Run { seed, mix, requests: Vec::new() });
        return Ok(());
    }
    let requests = &mut runs.last_mut().context("no run precedes it")?.requests;
    match line {
        Line::Request { request, at_ms, events } if request == requests.len() as u64 => {
            let at = DateTime::from_timestamp_millis(at_ms).context("its time is invalid")?;
            let outcome =
                RequestOutcome::Unknown { reason: "the publisher ended before the answer".to_owned() };
            requests.push(Request { at, events, outcome });
        }
        Line::Answer { request, outcome } => {
            let record_request = usize::try_from(request).ok().and_then(|request| requests.get_mut(request));
            record_request.context("it answers no known request")?.outcome = outcome;
        }
        Line::Run { .. } | Line::Request { .. } => bail!("it is out of order"),
    }
    Ok(())
}
