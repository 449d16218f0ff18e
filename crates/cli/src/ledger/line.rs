//! The lines of a ledger.

use serde::{Deserialize, Serialize};

use crate::publish::Mix;

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
