//! `settled_frames`: the settled frames that the audit has not reached yet.

use sea_orm::entity::prelude::*;

/// A frame that is stored, parked or otherwise settled.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "settled_frames")]
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
