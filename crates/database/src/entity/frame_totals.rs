//! `frame_totals`: the accounts of frames whose rows in `frames` were removed, added up.

use sea_orm::entity::prelude::*;

/// The totals of one source.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "frame_totals")]
pub struct Model {
    /// `weir.event.v1.Source`.
    #[sea_orm(primary_key, auto_increment = false)]
    pub source: i16,
    /// Frames.
    pub frames: i64,
    /// Events of theirs that became rows.
    pub stored: i64,
    /// Events whose identity was there before.
    pub duplicate: i64,
    /// Events that the database refused.
    pub parked: i64,
}

/// None.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
