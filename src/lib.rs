//! What every role of Weir shares: the contract, the event, the journal and the process.
//!
//! The arrows are `contract ← event ← journal`; `process` stands alone and knows no event.

pub mod contract;
pub mod event;
pub mod journal;
pub mod process;
