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
pub mod generator;
pub mod load;
pub mod nats;
pub mod ports;
pub mod postgres;
pub mod process;
pub mod prometheus;
pub mod reference;
pub mod repository;
pub mod soak;
pub mod trace_collector;
pub mod weir;

pub use self::{
    answer::Answer,
    eventually::eventually,
    trace_collector::TraceCollector,
    weir::{Ground, Weir},
};
