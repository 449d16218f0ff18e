//! The whole system from outside, story by story.

mod harness;
mod journal;
mod schema;
mod store;
