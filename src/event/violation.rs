//! What is told to a sender whose item breaks rules.

use std::borrow::Cow;

use super::Source;
use crate::contract::event::v1;

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

impl Violation {
    #[must_use]
    pub fn new(pointer: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), message: message.into() }
    }
}

impl Violation {
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
}
