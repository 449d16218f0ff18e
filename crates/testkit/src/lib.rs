//! The ground of the stories and of the benches: real processes, real servers, waits on conditions, and one generator of
//! events.

#![expect(
    clippy::unwrap_used,
    reason = "a story that goes wrong fails where it goes wrong, its ground included"
)]

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
    weir::{Ground, Weir},
};

/// `tests/run --soak`.
#[expect(clippy::disallowed_methods, reason = "tests/run --soak tells it through the environment")]
pub fn soak() -> bool {
    std::env::var_os("WEIR_SOAK").is_some()
}
