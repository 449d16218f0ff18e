//! The broken rules of an item, as its sender is told them.

use std::borrow::Cow;

use weir::contract::event::v1;

use super::{Source, candidate::Candidate, gate::MAX_CHARACTERS};

/// One rule that one item breaks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    /// RFC 6901 pointer into the webhook's JSON item; `""` is the item itself.
    pub pointer: Cow<'static, str>,
    pub message: String,
}

/// Why an item did not pass the gate, and what is known of it all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Every rule that the item breaks, at least one.
    pub violations: Vec<Violation>,
    /// The source that the item names, where that one exists.
    pub source: Option<Source>,
    /// The item's `eventId`, where that is a string (even one that breaks rules).
    pub event_id: Option<String>,
}

/// Of an `eventId` that is told: one character more than an id may have, of four bytes each.
const MAX_TOLD_ID_BYTES: usize = 4 * (MAX_CHARACTERS + 1);

impl Refusal {
    /// Refuses an item as a whole, which may be legible all the same.
    pub(super) fn of_all(message: String, candidate: Candidate<'_>) -> Self {
        let event_id = candidate.event_id.first_text().map(|id| tellable(&id).to_owned());
        let source = candidate.source.text().ok().and_then(|name| Source::from_name(&name));
        Self { violations: vec![Violation::new("", message)], source, event_id }
    }
}

/// What is told and looked up of an `eventId`: all of one that keeps the rules, and of any other 1,028 bytes at most.
/// Those are over 256 characters, so that no id that was cut is another's.
#[must_use]
pub fn tellable(event_id: &str) -> &str {
    &event_id[..event_id.floor_char_boundary(MAX_TOLD_ID_BYTES)]
}

impl Violation {
    #[must_use]
    pub fn new(pointer: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), message: message.into() }
    }

    /// The message without the place, `at column 17` or `at line 1 column 17`, that it may end with. That is of one item;
    /// items that break the same rule are told apart by it no more than by their other bytes.
    #[must_use]
    pub fn rule(&self) -> &str {
        let number = |text: &'_ str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let Some((rule, place)) = self.message.rsplit_once(" at ") else { return &self.message };
        let column = match place.strip_prefix("line ").and_then(|place| place.split_once(' ')) {
            Some((line, column)) if number(line) => column,
            Some(_) => return &self.message,
            None => place,
        };
        if column.strip_prefix("column ").is_some_and(number) { rule } else { &self.message }
    }
}

impl From<Violation> for v1::Violation {
    fn from(violation: Violation) -> Self {
        Self { pointer: violation.pointer.into_owned(), message: violation.message }
    }
}

impl From<v1::Violation> for Violation {
    fn from(violation: v1::Violation) -> Self {
        Self::new(violation.pointer, violation.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_has_no_place() {
        for (message, rule) in [
            ("is no JSON: expected value at line 1 column 17", "is no JSON: expected value"),
            ("is no UTF-8 at column 3", "is no UTF-8"),
            ("is required", "is required"),
            ("must end at line 1", "must end at line 1"),
            ("stops at line 1 column 2b", "stops at line 1 column 2b"),
        ] {
            assert_eq!(Violation::new("", message).rule(), rule);
        }
    }

    #[test]
    fn an_id_that_was_cut_is_no_other_s() {
        for character in ["\u{1f600}", "é", "c"] {
            let legal = character.repeat(MAX_CHARACTERS);
            assert_eq!(tellable(&legal), legal);
            let long = character.repeat(5_000);
            let told = tellable(&long);
            assert!(told.chars().count() > MAX_CHARACTERS && told.len() <= MAX_TOLD_ID_BYTES);
        }
    }
}
