//! The whole system from outside, story by story.

#![expect(clippy::unwrap_used, reason = "a story that goes wrong fails where it goes wrong, helpers included")]

mod harness;

mod collectors;
mod journal;
mod reporting;
mod schema;
mod store;
