//! Whether what is added up still is what the rows say: everything derived from rows is compared with them, day by
//! day and source by source, and set right where it is told to.
//!
//! A day is compared in one state of the store, so that nobody who stores meanwhile makes a difference. Every
//! transaction of the system changes rows and what is derived from them by the same, so a difference that was found
//! stays the difference until somebody repairs it: a repair adds it to whatever is there by then.

mod difference;
mod error;
mod grain;
mod lock;
mod measures;
mod period;
mod reconciler;
mod repair;
mod rollup_table;
mod snapshot;
mod sql;

pub use difference::{Difference, Evidence, Subject};
pub use error::ReconcileError;
pub use grain::Grain;
pub use lock::RepairClaim;
pub use measures::{Figure, Figures};
pub use period::Period;
pub use reconciler::{Compared, Piece, Reconciler};
