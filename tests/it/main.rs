//! The whole system from outside, story by story.

mod harness;
mod schema;
mod store;
