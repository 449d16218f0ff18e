//! Stories: tests of the whole system from outside, one file for each subject.
//!
//! `tests/run` builds the binary and runs them; `WEIR_SOAK=1` (`tests/run --soak`) adds the long variants.

#![expect(clippy::unwrap_used, reason = "a story fails at the line that goes wrong, its helpers included")]

// Stories use `on_files_and_on_servers!` without an import, as they use the macros of the standard library.
#[macro_use(on_files_and_on_servers)]
extern crate weir_testkit;

mod model;

mod arrays;
mod audit;
mod browsers;
mod causes;
mod cluster;
mod collectors;
mod correlation;
mod dead_letters;
mod demonstration;
mod deploy;
mod durability;
mod erasure;
mod event_lookup;
mod examples;
mod faults;
mod fleet;
mod foreign_databases;
mod foreign_hands;
mod gate;
mod grpc;
mod http;
mod items;
mod journal;
mod layout;
mod lifecycle;
mod logs;
mod metrics;
mod monitoring;
mod nats;
mod platforms;
mod pressure;
mod publish;
mod reconcile;
mod reporting;
mod reports;
mod retention;
mod runbook;
mod schema;
mod store;
mod terminal;
mod tools;
mod traces;
mod unreadable;
mod upgrades;
mod verify;
