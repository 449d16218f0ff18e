//! Reconciliation: compares the rollups and the sets of people with the rows, day by day and source by source, and
//! repairs them on request.
//!
//! A day is compared in one state of the database, so that storing meanwhile makes no difference. Every transaction
//! changes rows and derived data by the same amount. A difference that was found therefore stays the same until it is
//! repaired, and a repair adds it to the values of that moment.

mod derived_table;
mod difference;
mod error;
mod lock;
mod measures;
mod period;
mod read_transaction;
mod reconciler;
mod repair;
mod sql;

pub use difference::{Difference, Evidence, Subject};
pub use error::ReconcileError;
pub use lock::RepairLock;
pub use measures::{Measure, Measures};
pub use period::Period;
pub use reconciler::{ComparedDay, Reconciler, SourceDay};
