//! `audits`: the progress of the audit of each journal. The audit compares acknowledged frames with settled ones.

use sea_orm::entity::prelude::*;

/// The audit of one journal.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "audits")]
pub struct Model {
    /// The identity of the journal.
    #[sea_orm(primary_key, auto_increment = false)]
    pub journal: i64,
    /// Frames up to this sequence are settled, unless they are in `unaccounted_frames`.
    pub through: i64,
}

/// The table has no foreign keys.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
