//! `people_columns`: what was told of the person at each number, without saying who it is.

use sea_orm::entity::prelude::*;

/// [`crate::people::BLOCK`] numbers that follow each other.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "people_columns")]
pub struct Model {
    /// `weir.event.v1.Source`.
    #[sea_orm(primary_key, auto_increment = false)]
    pub source: i16,
    /// The first number divided by how many a block has.
    #[sea_orm(primary_key, auto_increment = false)]
    pub block: i64,
    /// How many numbers of it are given away; it only grows.
    pub filled: i64,
    /// [`crate::people::Block`].
    pub data: Vec<u8>,
}

/// None.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
