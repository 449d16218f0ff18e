//! The answer of an event lookup as a title and tables.

use weir_edge::answers::{EventLookupAnswer, EventStatus};

use crate::output::{Page, Table, grouped, table};

/// Shows an answer of the edge (`GET /events/{source}/{eventId}`).
#[derive(Debug)]
pub(super) struct EventTables<'a>(pub(super) &'a EventLookupAnswer);

impl EventTables<'_> {
    fn stored(&self) -> Table {
        let rows = self.0.stored.iter().map(|stored| {
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
        table(["arrived at"], 1, self.0.removed.iter().map(|removed| [removed.arrived_at.clone()]))
    }

    /// One row for each broken rule.
    fn dead_letters(&self) -> Table {
        let rows = self.0.dead_letters.iter().flatten().flat_map(|letter| {
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

    /// A title, and the tables with rows.
    pub(super) fn page(&self) -> Page {
        let answer = self.0;
        let status = match answer.status {
            EventStatus::Stored => "stored",
            EventStatus::Removed => "removed, after it was stored for its time",
            EventStatus::DeadLetter => "a dead letter",
            EventStatus::Unknown => "unknown",
        };
        let mut page = Page::default();
        page.line(format_args!("{} {}: {status}", answer.source, answer.event_id));
        let waiting = answer.waiting_frames.unwrap_or_default();
        if answer.status == EventStatus::Unknown && waiting > 0 {
            let (waiting, source) = (grouped(waiting), &answer.source);
            page.line(format_args!("frames of {source} that wait to be stored: {waiting}; ask again"));
        }
        for service in &answer.unavailable {
            page.line(format_args!("{service} could not be asked"));
        }
        let tables = [self.stored(), self.removed(), self.dead_letters()];
        tables.iter().filter(|table| !table.is_empty()).for_each(|table| page.table(table));
        page
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(answer: serde_json::Value) -> String {
        EventTables(&serde_json::from_value(answer).unwrap()).page().to_string()
    }

    #[test]
    fn a_stored_event_is_shown_with_its_earlier_violations() {
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
    fn a_removed_event_is_shown_with_its_arrival() {
        let answer = json!({"source": "tiktok", "eventId": "a", "status": "removed", "waitingFrames": 2,
                            "removed": {"arrivedAt": "2025-09-14T07:21:45Z"}, "deadLetters": []});
        let shown = shown(answer);
        assert!(shown.starts_with("tiktok a: removed") && shown.contains("2025-09-14T07:21:45Z"), "{shown}");
    }

    #[test]
    fn an_unknown_event_is_shown_with_the_waiting_frames() {
        let answer = json!({"source": "tiktok", "eventId": "a", "status": "unknown", "deadLetters": [],
                            "waitingFrames": 2});
        let expected = "tiktok a: unknown\nframes of tiktok that wait to be stored: 2; ask again";
        assert_eq!(shown(answer), expected);
    }
}
