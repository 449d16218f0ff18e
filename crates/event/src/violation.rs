//! Violations: the broken rules of an item, as its sender reads them.

use std::borrow::Cow;

use weir::contract::event::v1;

use super::{
    Source,
    candidate::{Candidate, MAX_CHARACTERS},
};

/// One rule that one item breaks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    /// RFC 6901 pointer into the webhook's JSON item; `""` is the item itself.
    pub pointer: Cow<'static, str>,
    /// The rule, such as `is required`.
    pub message: String,
}

/// The gate's refusal of an item, with the identity as far as the gate could read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Every rule that the item breaks, at least one.
    pub violations: Vec<Violation>,
    /// The source that the item names, if it exists.
    pub source: Option<Source>,
    /// The item's `eventId`, if it is a string. It may break rules, and is cut by [`cut_event_id`].
    pub event_id: Option<String>,
}

/// One character more than an id may have, of four bytes each.
const MAX_ID_BYTES: usize = 4 * (MAX_CHARACTERS + 1);

impl Refusal {
    /// The refusal of an item as a whole. The candidate may still name a source and an id.
    pub(super) fn of_item(message: String, candidate: Candidate<'_>) -> Self {
        let event_id = candidate.event_id.first_text().map(|id| cut_event_id(&id).to_owned());
        let source = candidate.source.text().ok().and_then(|name| Source::from_name(&name));
        Self { violations: vec![Violation::new("", message)], source, event_id }
    }
}

/// Cuts an `eventId` for refusals, dead letters and look-ups. An id that keeps the rules stays whole; any other keeps
/// at most 1,028 bytes. A cut id has over 256 characters, so it never equals a valid one.
#[must_use]
pub fn cut_event_id(event_id: &str) -> &str {
    &event_id[..event_id.floor_char_boundary(MAX_ID_BYTES)]
}

impl Violation {
    /// A violation of the rule `message` at `pointer`.
    #[must_use]
    pub fn new(pointer: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), message: message.into() }
    }

    /// The message without a place at its end, such as `at column 17` or `at line 1 column 17`. The place belongs to
    /// one item; dead letters of many items are grouped by the rule alone.
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
    fn a_cut_id_never_equals_a_valid_one() {
        for character in ["\u{1f600}", "é", "c"] {
            let legal = character.repeat(MAX_CHARACTERS);
            assert_eq!(cut_event_id(&legal), legal);
            let long = character.repeat(5_000);
            let cut = cut_event_id(&long);
            assert!(cut.chars().count() > MAX_CHARACTERS && cut.len() <= MAX_ID_BYTES);
        }
    }
}
