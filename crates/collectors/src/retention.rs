//! Retention: removes rows that were kept long enough, beside the collectors' own work: segments of events as a whole,
//! everything else in small batches.
//!
//! A removed row stays counted in the rollups, and its key still recognises a late repeat as a duplicate. The accounts
//! of a removed frame stay in the totals. docs/retention.md documents the effect on reports.

mod batch;
mod cutoffs;
mod database;
mod postgres;
mod segments;
mod sqlite;
mod sweeper;

pub use cutoffs::Retention;
pub(crate) use segments::with_remedy;
pub(crate) use sweeper::Sweeper;
