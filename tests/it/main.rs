//! The whole system from outside, story by story.

mod harness;

mod collectors;
mod journal;
mod reporting;
mod schema;
mod store;
