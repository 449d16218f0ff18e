//! `frame_totals`: the summed accounts of frames without rows: retention removed their rows in `frames`.

use sea_orm::entity::prelude::*;

/// The totals of one source.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "frame_totals")]
pub struct Model {
    /// `weir.event.v1.Source`.
    #[sea_orm(primary_key, auto_increment = false)]
    pub source: i16,
    /// The number of frames.
    pub frames: i64,
    /// Events of these frames that became rows.
    pub stored: i64,
    /// Events whose identity was stored before.
    pub duplicate: i64,
    /// Events that the database refused.
    pub parked: i64,
}

/// The table has no foreign keys.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
