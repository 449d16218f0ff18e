//! The whole system from outside, story by story.

mod harness;

mod collectors;
mod reporting;
mod schema;
mod store;
