//! `people`: the number of each person who has rows.

use sea_orm::entity::prelude::*;

/// One person of one source.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "people")]
pub struct Model {
    /// `weir.event.v1.Source`.
    #[sea_orm(primary_key, auto_increment = false)]
    pub source: i16,
    /// [`crate::people::PersonKey`] of the user id: it stays only while the person's rows do.
    #[sea_orm(primary_key, auto_increment = false)]
    pub key: Vec<u8>,
    /// What sets call the person, and where columns have what was first told of the person.
    pub number: i64,
    /// [`crate::people::Marks`] of what was first told.
    pub marks: Vec<u8>,
}

/// None.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
