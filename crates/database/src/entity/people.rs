//! `people`: the number of each person with rows.

use sea_orm::entity::prelude::*;

/// One person of one source.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "people")]
pub struct Model {
    /// `weir.event.v1.Source`.
    #[sea_orm(primary_key, auto_increment = false)]
    pub source: i16,
    /// [`crate::people::PersonKey`] of the user id. It stays only as long as the person's rows.
    #[sea_orm(primary_key, auto_increment = false)]
    pub key: Vec<u8>,
    /// The person's number in sets, and in columns the number of the person's first attributes.
    pub number: i64,
    /// [`crate::people::AttributeHashes`] of the person's first attributes. The column's name is older than the term.
    pub marks: Vec<u8>,
}

/// The table has no foreign keys.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
