//! Whether what is added up still is what the rows say: everything derived from rows is compared with them, day by
//! day and source by source, and set right where it is told to.
//!
//! A day is compared in one state of the store, so that nobody who stores meanwhile makes a difference. Every
//! transaction of the system changes rows and what is derived from them by the same, so a difference that was found
//! stays the difference until somebody repairs it: a repair adds it to whatever is there by then.

mod claim;
mod comparison;
mod difference;
mod error;
mod figures;
mod grain;
mod period;
mod repair;
mod snapshot;
mod statement;
mod structure;

pub use claim::RepairClaim;
pub use comparison::{Compared, Piece, Reconciler};
pub use difference::{Difference, Evidence, Subject};
pub use error::ReconcileError;
pub use figures::{Figure, Figures};
pub use grain::Grain;
pub use period::Period;
