//! The ground of the stories: real processes, real servers, waits on conditions.

pub(crate) mod answer;
pub(crate) mod clock;
pub(crate) mod database;
pub(crate) mod disk;
pub(crate) mod events;
pub(crate) mod eventually;
pub(crate) mod fault_proxy;
pub(crate) mod load;
pub(crate) mod nats;
pub(crate) mod ports;
pub(crate) mod postgres;
pub(crate) mod process;
pub(crate) mod prometheus;
pub(crate) mod soak;
pub(crate) mod trace_collector;
pub(crate) mod weir;

pub(crate) use self::{
    answer::Answer,
    eventually::eventually,
    trace_collector::TraceCollector,
    weir::{Ground, Weir},
};
