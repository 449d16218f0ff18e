//! `audits`: how far what a journal holds as acknowledged was compared with what is settled.

use sea_orm::entity::prelude::*;

/// The audit of one journal.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "audits")]
pub struct Model {
    /// Its identity.
    #[sea_orm(primary_key, auto_increment = false)]
    pub journal: i64,
    /// Frames up to this sequence are settled, unless they are in `unaccounted_frames`.
    pub through: i64,
}

/// None.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
