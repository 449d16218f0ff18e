//! `frames`: the accounts of every stored frame. The transaction that stores the events writes them, so that a
//! redelivered frame is recognised and the accounts outlive every process.

use sea_orm::entity::prelude::*;

/// One frame. `stored + duplicate + parked` is the number of its accepted events.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "frames")]
pub struct Model {
    /// The frame's id in the journal.
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub frame_id: String,
    /// `weir.event.v1.Source`.
    pub source: i16,
    /// Events that became rows.
    pub stored: i64,
    /// Events whose identity was stored before, later items of the same array included.
    pub duplicate: i64,
    /// Events that the database refused: they are in the stream `DEAD_LETTERS`.
    pub parked: i64,
    /// The time when the row was written, µs since the Unix epoch, UTC.
    pub committed_at: i64,
}

/// The table has no foreign keys.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
