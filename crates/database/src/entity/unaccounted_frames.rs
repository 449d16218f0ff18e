//! `unaccounted_frames`: frames that the journal has as acknowledged and the store does not have as settled.

use sea_orm::entity::prelude::*;

/// A missing frame. It is settled when the journal delivers it again and a collector stores it.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "unaccounted_frames")]
pub struct Model {
    /// The identity of the journal that counts the sequence.
    #[sea_orm(primary_key, auto_increment = false)]
    pub journal: i64,
    /// The frame's sequence, from 1 on, over both sources.
    #[sea_orm(primary_key, auto_increment = false)]
    pub sequence: i64,
}

/// The table has no foreign keys.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
