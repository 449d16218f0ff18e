//! `frame_origins`: the frames that rows of `events` came in, and their origins.

use sea_orm::entity::prelude::*;

/// One frame. It stays until retention has removed the rows of its time.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "frame_origins")]
pub struct Model {
    /// The number that rows refer to by `events.frame_number`. Ascends, but not in the order of commits.
    #[sea_orm(primary_key)]
    pub number: i64,
    /// `weir.event.v1.Source`.
    pub source: i16,
    /// The frame's id.
    #[sea_orm(column_type = "Text")]
    pub frame_id: String,
    /// The time when its rows were written, µs since the Unix epoch, UTC.
    pub stored_at: i64,
    /// A `weir.event.v1.Frame` with origins alone. `events.origin` is an index into them.
    pub data: Vec<u8>,
}

/// The table has no foreign keys.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
