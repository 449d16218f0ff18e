//! `duplicates`: how often an identity came again after it was stored. Written in the transaction that finds the
//! duplicates, so that a redelivered frame adds nothing.

use sea_orm::entity::prelude::*;

/// One identity that came again; one that never did has no row. Summed up this is `frames.duplicate`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "duplicates")]
pub struct Model {
    /// `weir.event.v1.Source`.
    #[sea_orm(primary_key, auto_increment = false)]
    pub source: i16,
    /// The sender's id, unique within the source.
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub event_id: String,
    /// How often besides the first, later items of the same array included.
    pub times: i64,
}

/// None.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
