//! `settled_frames`: which frames are settled, as far as the audit has not got there yet.

use sea_orm::entity::prelude::*;

/// A frame that is stored, parked or otherwise done with.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "settled_frames")]
pub struct Model {
    /// The identity of the journal that counts the sequence.
    #[sea_orm(primary_key, auto_increment = false)]
    pub journal: i64,
    /// From 1 on, over both sources.
    #[sea_orm(primary_key, auto_increment = false)]
    pub sequence: i64,
}

/// None.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
