//! `people_aliases`: further numbers of people with more than one value of a dimension.

use sea_orm::entity::prelude::*;

/// One further number.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "people_aliases")]
pub struct Model {
    /// `weir.event.v1.Source`.
    #[sea_orm(primary_key, auto_increment = false)]
    pub source: i16,
    /// The person's own number, in `people`.
    #[sea_orm(primary_key, auto_increment = false)]
    pub number: i64,
    /// The further number, from the same space as people's own numbers.
    #[sea_orm(primary_key, auto_increment = false)]
    pub alias: i64,
    /// [`crate::people::AttributeHashes`] of the values that this number stands for.
    pub marks: Vec<u8>,
}

/// The table has no foreign keys.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
