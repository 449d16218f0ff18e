//! `duplicates`: the number of repeats of each stored identity. The transaction that finds the repeats writes it, so
//! that a redelivered frame adds nothing.

use sea_orm::entity::prelude::*;

/// One identity with repeats; an identity without repeats has no row. The sum over all rows is that of
/// `frames.duplicate`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "duplicates")]
pub struct Model {
    /// `weir.event.v1.Source`.
    #[sea_orm(primary_key, auto_increment = false)]
    pub source: i16,
    /// The sender's id, unique within the source.
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub event_id: String,
    /// Repeats besides the first event, later items of the same array included.
    pub times: i64,
}

/// The table has no foreign keys.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
