//! What an OS process does, whatever roles it hosts.

mod correlation;

pub use correlation::CorrelationId;
