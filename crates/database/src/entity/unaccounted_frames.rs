//! `unaccounted_frames`: which frames the journal holds as acknowledged and nothing here tells of.

use sea_orm::entity::prelude::*;

/// A frame that is missing; it is settled when it is offered again and stored.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "unaccounted_frames")]
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
