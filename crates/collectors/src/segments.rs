//! Segments of events on PostgreSQL: opens the next one in time, and makes the filters of closed ones.

mod filters;
mod job;

pub(crate) use job::SegmentJob;
