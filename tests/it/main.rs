//! The whole system from outside, story by story.

mod harness;

mod collectors;
mod schema;
mod store;
