//! `frames`: every frame whose events are stored, with what became of them. Written in the transaction that
//! stores the events, so that a redelivered frame is recognised and the accounting outlives every process.

use sea_orm::entity::prelude::*;

/// One frame. `stored + duplicate + parked` is what was accepted with it.
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
    /// Events whose identity was there before, later items of the same array included.
    pub duplicate: i64,
    /// Events that the database refused: they lie in `DEAD_LETTERS`.
    pub parked: i64,
    /// When it was written, µs since the Unix epoch, UTC.
    pub committed_at: i64,
}

/// None.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
