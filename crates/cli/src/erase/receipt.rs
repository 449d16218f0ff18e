//! The receipt of an erasure, as text and as JSON. It contains nothing about the person.

use chrono::SecondsFormat;
use prost_types::Timestamp;
use serde_json::{Value, json};
use weir::contract::{instant, reporting::v1::ErasureReceipt};

use crate::{
    output::{Page, grouped, table},
    report::names,
};

/// The known part of a receipt.
#[derive(Debug)]
pub(super) struct Receipt(pub(super) ErasureReceipt);

impl Receipt {
    /// A receipt of which only the id is known.
    pub(super) fn named(erasure_id: String) -> Self {
        Self(ErasureReceipt { erasure_id, ..ErasureReceipt::default() })
    }

    pub(super) fn is_complete(&self) -> bool {
        self.0.completed_at.is_some()
    }

    pub(super) fn json(&self) -> Value {
        let Self(receipt) = self;
        let known = receipt.requested_at.is_some();
        json!({
            "erasureId": receipt.erasure_id,
            "source": known.then(|| names::source(receipt.source)),
            "suppress": known.then_some(receipt.suppress),
            "requestedAt": rfc3339(receipt.requested_at),
            "completedAt": rfc3339(receipt.completed_at),
            "rows": receipt.rows,
            "deadLetters": receipt.dead_letters,
        })
    }

    /// The receipt, and how to ask again for an erasure that is not complete.
    pub(super) fn page(&self) -> Page {
        let Self(receipt) = self;
        let id = &receipt.erasure_id;
        let mut page = Page::default();
        if receipt.requested_at.is_none() {
            page.line(format_args!("No erasure of this id was begun, or it is forgotten: {id}"));
            return page;
        }
        let later = if receipt.suppress { "stored without the person, too" } else { "count" };
        let lines = [
            ("erasure", id.clone()),
            ("source", names::source(receipt.source).to_owned()),
            ("events that arrive later", later.to_owned()),
            ("requested", rfc3339(receipt.requested_at).unwrap_or_default()),
            ("completed", rfc3339(receipt.completed_at).unwrap_or_else(|| "not yet".to_owned())),
            ("rows made anonymous", grouped(receipt.rows)),
            ("dead letters removed", grouped(receipt.dead_letters)),
        ];
        page.table(&table(["receipt", ""], 0, lines.map(|(name, value)| [name.to_owned(), value])));
        if !self.is_complete() {
            page.line(format_args!("It is durable and will be done. Ask again: weir erase --receipt {id}"));
        }
        page
    }
}

/// Formats a time in UTC, to the microsecond.
fn rfc3339(time: Option<Timestamp>) -> Option<String> {
    Some(instant(time?)?.to_rfc3339_opts(SecondsFormat::Micros, true))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receipt(completed_at: Option<Timestamp>) -> Receipt {
        Receipt(ErasureReceipt {
            erasure_id: "e-1".to_owned(),
            source: 2,
            requested_at: Some(Timestamp { seconds: 1, nanos: 2_000 }),
            completed_at,
            rows: 1_234,
            ..ErasureReceipt::default()
        })
    }

    #[test]
    fn an_incomplete_receipt_contains_the_command_that_shows_it_again() {
        let incomplete = receipt(None);
        assert!(
            !incomplete.is_complete() && incomplete.page().to_string().contains("weir erase --receipt e-1")
        );
        let complete = receipt(Some(Timestamp { seconds: 2, nanos: 0 }));
        assert!(complete.is_complete() && !complete.page().to_string().contains("--receipt"));
        assert!(complete.page().to_string().contains("1,234"));
        assert_eq!(complete.json()["requestedAt"], "1970-01-01T00:00:01.000002Z");
        assert_eq!((&complete.json()["source"], &complete.json()["rows"]), (&json!("tiktok"), &json!(1_234)));
    }

    #[test]
    fn an_unknown_receipt_is_not_shown_as_durable() {
        let unknown = Receipt::named("e-2".to_owned());
        let page = unknown.page().to_string();
        assert!(!page.contains("durable"), "{page}");
        assert_eq!(unknown.json()["source"], Value::Null);
    }
}
