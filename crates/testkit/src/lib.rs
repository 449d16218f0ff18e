//! The test kit of the stories and the benches: real processes, real servers, faults, and makers of events.
#![doc = include_str!("../README.md")]
#![expect(clippy::unwrap_used, reason = "a story fails at the line that goes wrong, its kit included")]

pub mod answer;
pub mod clock;
pub mod database;
pub mod disk;
pub mod events;
pub mod eventually;
pub mod fault_proxy;
pub mod load;
pub mod nats;
pub mod ports;
pub mod postgres;
pub mod process;
pub mod prometheus;
pub mod repository;
pub mod trace_collector;
pub mod weir;

pub use self::{
    answer::Answer,
    eventually::eventually,
    trace_collector::TraceCollector,
    weir::{Storage, Weir},
};

/// Whether the long variants of stories run too: `tests/run --soak`.
#[expect(clippy::disallowed_methods, reason = "a test has no arguments; tests/run --soak sets the variable")]
pub fn soak() -> bool {
    std::env::var_os("WEIR_SOAK").is_some()
}
