//! `people_columns`: the attributes at each number of a person, without the person's identity.

use sea_orm::entity::prelude::*;

/// A block of [`crate::people::BLOCK`] consecutive numbers.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "people_columns")]
pub struct Model {
    /// `weir.event.v1.Source`.
    #[sea_orm(primary_key, auto_increment = false)]
    pub source: i16,
    /// The first number divided by the numbers of a block.
    #[sea_orm(primary_key, auto_increment = false)]
    pub block: i64,
    /// Numbers of the block in use. The count only grows.
    pub filled: i64,
    /// [`crate::people::Block`].
    pub data: Vec<u8>,
}

/// The table has no foreign keys.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
