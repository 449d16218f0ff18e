//! What the edge answers, as a title and tables.

use std::fmt;

use comfy_table::Table;
use serde::Deserialize;

use crate::output::{grouped, table};

/// The edge's answer (`GET /events/{source}/{eventId}`).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Whereabouts {
    source: String,
    event_id: String,
    status: Status,
    stored: Option<Stored>,
    removed: Option<Removed>,
    #[serde(default)]
    dead_letters: Vec<DeadLetter>,
    #[serde(default)]
    waiting_frames: u64,
    #[serde(default)]
    unavailable: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Status {
    Stored,
    Removed,
    DeadLetter,
    Unknown,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stored {
    stored_at: String,
    arrived_at: String,
    correlation_id: String,
    trace_id: Option<String>,
    duplicates: u64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Removed {
    arrived_at: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct DeadLetter {
    kind: String,
    at: String,
    correlation_id: String,
    violations: Vec<Violation>,
}

#[derive(Debug, Deserialize)]
struct Violation {
    pointer: String,
    message: String,
}

impl Whereabouts {
    pub(super) fn is_found(&self) -> bool {
        self.status != Status::Unknown
    }

    fn stored(&self) -> Table {
        let rows = self.stored.iter().map(|stored| {
            [
                stored.arrived_at.clone(),
                stored.stored_at.clone(),
                stored.correlation_id.clone(),
                stored.trace_id.clone().unwrap_or_default(),
                grouped(stored.duplicates),
            ]
        });
        table(["arrived at", "stored at", "correlation id", "trace id", "duplicates"], 1, rows)
    }

    fn removed(&self) -> Table {
        table(["arrived at"], 1, self.removed.iter().map(|removed| [removed.arrived_at.clone()]))
    }

    /// One row for each rule that is broken.
    fn dead_letters(&self) -> Table {
        let rows = self.dead_letters.iter().flat_map(|letter| {
            letter.violations.iter().map(|violation| {
                [
                    letter.kind.clone(),
                    letter.at.clone(),
                    letter.correlation_id.clone(),
                    violation.pointer.clone(),
                    violation.message.clone(),
                ]
            })
        });
        table(["dead letter", "at", "correlation id", "where", "why"], 0, rows)
    }
}

impl fmt::Display for Whereabouts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = match self.status {
            Status::Stored => "stored",
            Status::Removed => "removed, after it was stored for its time",
            Status::DeadLetter => "a dead letter",
            Status::Unknown => "unknown",
        };
        write!(formatter, "{} {}: {status}", self.source, self.event_id)?;
        if self.status == Status::Unknown && self.waiting_frames > 0 {
            let (waiting, source) = (grouped(self.waiting_frames), &self.source);
            write!(formatter, "\nframes of {source} that wait to be stored: {waiting}; ask again")?;
        }
        for service in &self.unavailable {
            write!(formatter, "\n{service} could not be asked")?;
        }
        let tables = [self.stored(), self.removed(), self.dead_letters()];
        let mut tables = tables.into_iter().filter(|table| !table.is_empty());
        tables.try_for_each(|table| write!(formatter, "\n{table}"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(answer: serde_json::Value) -> String {
        serde_json::from_value::<Whereabouts>(answer).unwrap().to_string()
    }

    #[test]
    fn a_stored_event_is_shown_with_what_it_broke_before() {
        let shown = shown(json!({
            "source": "facebook", "eventId": "fb-1", "status": "stored", "waitingFrames": 2,
            "stored": {"storedAt": "s", "arrivedAt": "a", "correlationId": "c", "duplicates": 1234},
            "deadLetters": [{"kind": "rejected", "at": "t", "correlationId": "d", "violations":
                [{"pointer": "/timestamp", "message": "is required"}]}],
        }));
        for part in ["facebook fb-1: stored\n", "1,234", "rejected", "/timestamp", "is required"] {
            assert!(shown.contains(part), "{part} is missing in\n{shown}");
        }
        assert!(!shown.contains("ask again"), "{shown}");
    }

    #[test]
    fn a_removed_event_is_found_and_shown_with_its_arrival() {
        let answer = json!({"source": "tiktok", "eventId": "a", "status": "removed", "waitingFrames": 2,
                            "removed": {"arrivedAt": "2025-09-14T07:21:45Z"}, "deadLetters": []});
        assert!(serde_json::from_value::<Whereabouts>(answer.clone()).unwrap().is_found());
        let shown = shown(answer);
        assert!(shown.starts_with("tiktok a: removed") && shown.contains("2025-09-14T07:21:45Z"), "{shown}");
    }

    #[test]
    fn an_unknown_event_may_still_wait() {
        let answer = json!({"source": "tiktok", "eventId": "a", "status": "unknown", "deadLetters": [],
                            "waitingFrames": 2});
        let told = "tiktok a: unknown\nframes of tiktok that wait to be stored: 2; ask again";
        assert_eq!(shown(answer), told);
    }
}
